import type { MessagePort } from "node:worker_threads";

/** Input of the embedded pg_dump's worker thread. */
export interface WasmDumpTask {
  /** Transfers protocol bytes: requests from the worker thread to the server, and its responses back. */
  readonly port: MessagePort;
  /** One 32-bit integer with a value of {@link turn}, on which the worker thread waits. */
  readonly turns: SharedArrayBuffer;
  /** The session's parameters as reported by the server at start-up (`server_version`, ...). */
  readonly parameters: readonly (readonly [name: string, value: string])[];
  readonly arguments: readonly string[];
}

export type WasmDumpResult = { readonly text: string } | { readonly failure: string };

/** The side that has to act next. */
export const turn = { server: 0, worker: 1, connectionLost: 2 } as const;
