import type { MessagePort } from "node:worker_threads";

/** What the worker of the embedded pg_dump is given. */
export interface WasmDumpTask {
  /** Carries the worker's requests to the server, and the server's answers back, as bytes of the protocol. */
  readonly port: MessagePort;
  /** One 32-bit integer of {@link turn}, on which the worker sleeps. */
  readonly turns: SharedArrayBuffer;
  /** The session's parameters as the server reports them at start-up (`server_version`, ...). */
  readonly parameters: readonly (readonly [name: string, value: string])[];
  readonly arguments: readonly string[];
}

export type WasmDumpResult = { readonly text: string } | { readonly failure: string };

/** Whose turn it is. */
export const turn = { server: 0, worker: 1, connectionLost: 2 } as const;
