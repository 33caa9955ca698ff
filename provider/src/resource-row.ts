import { credentials } from "@grpc/grpc-js";
import { EngineClient } from "@pulumi/pulumi/proto/engine_grpc_pb";
import { LogRequest, LogSeverity } from "@pulumi/pulumi/proto/engine_pb";
import type { Report } from "./supervisor/supervise-worker.js";

/**
 * Shows lines on a resource's row in Pulumi's display. The dynamic provider's host gets the engine's address as its last
 * argument; outside of that host there is no row, and lines go nowhere. Only for people to look at: that a line does not
 * arrive changes nothing, so failures are not reported.
 */
export function openResourceRow(urn: string): { report: Report; close(): void } {
  const address = process.argv.at(-1) ?? "";
  if (urn === "" || !/^[\w.[\]:-]+:\d+$/.test(address)) return { report: () => undefined, close: () => undefined };
  const engine = new EngineClient(address, credentials.createInsecure());
  let last = "";
  return {
    report(line) {
      if (line === last) return;
      last = line;
      const message = new LogRequest();
      message.setSeverity(LogSeverity.INFO);
      message.setMessage(line);
      message.setUrn(urn);
      message.setEphemeral(true);
      engine.log(message, () => undefined);
    },
    close: () => engine.close(),
  };
}
