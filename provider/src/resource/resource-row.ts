import { credentials, Metadata } from "@grpc/grpc-js";
import { EngineClient } from "@pulumi/pulumi/proto/engine_grpc_pb";
import { LogRequest, LogSeverity } from "@pulumi/pulumi/proto/engine_pb";
import type { Report } from "../supervisor/supervise-worker.js";
import { printable } from "./printable.js";
import { toStandardError } from "./reach-goal.js";

/** A resource's row in Pulumi's display. */
export interface ResourceRow {
  /** Shows a line that replaces the previous one. */
  readonly report: Report;
  /** Adds a line to the diagnostics. */
  readonly note: Report;
  /** Whether Pulumi's engine still runs: without it, nothing keeps the outputs. */
  isEngineAlive(): Promise<boolean>;
  close(): void;
}

/**
 * Opens the row of the resource with this URN. The dynamic provider's host gets the engine's address as its last
 * argument. Without it there is no row: progress is dropped, and notes go to standard error. Failures to send a line
 * are ignored, because they affect only the display.
 */
export function openResourceRow(urn: string): ResourceRow {
  const address = process.argv.at(-1) ?? "";
  if (urn === "" || !/^[\w.[\]:-]+:\d+$/.test(address)) return noRow;
  const engine = new EngineClient(address, credentials.createInsecure());
  const log = (message: string, ephemeral: boolean): Promise<boolean> => {
    const request = new LogRequest();
    request.setSeverity(LogSeverity.INFO);
    request.setMessage(printable(message));
    request.setUrn(urn);
    request.setEphemeral(ephemeral);
    return new Promise((resolve) => {
      engine.log(request, new Metadata(), { deadline: Date.now() + 5000 }, (error) => resolve(!error));
    });
  };
  let last = "";
  let notes: Promise<unknown> = Promise.resolve();
  return {
    report(line) {
      if (line !== last) void log(line, true);
      last = line;
    },
    note(line) {
      notes = Promise.all([notes, log(line, false)]);
    },
    isEngineAlive: () => log(last, true),
    close: () => void notes.then(() => engine.close()),
  };
}

const noRow: ResourceRow = {
  report: () => undefined,
  note: toStandardError,
  isEngineAlive: () => Promise.resolve(true),
  close: () => undefined,
};
