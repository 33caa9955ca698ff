import { z } from "zod";
import type { HostEvent, Severity, StepKind, Summary } from "../host";

const stepKinds = [
  "same",
  "create",
  "update",
  "delete",
  "replace",
  "create-replacement",
  "delete-replaced",
  "read",
  "refresh",
] as const satisfies readonly StepKind[];

const step = z.object({ metadata: z.object({ op: z.string(), urn: z.string() }) });

const engineEvent = z.object({
  resourcePreEvent: step.optional(),
  resOutputsEvent: step.optional(),
  resOpFailedEvent: step.optional(),
  diagnosticEvent: z
    .object({
      urn: z.string().optional(),
      message: z.string(),
      severity: z.string(),
      ephemeral: z.boolean().optional(),
    })
    .optional(),
  summaryEvent: z.object({ resourceChanges: z.record(z.string(), z.number()).nullish() }).optional(),
});

/** Converts one line of the CLI's event log. Returns undefined for irrelevant lines. */
export function parseEngineEvent(line: string): HostEvent | { kind: "summary"; summary: Summary } | undefined {
  const event = engineEvent.parse(JSON.parse(line));
  if (event.resourcePreEvent) return stepEvent("step-started", event.resourcePreEvent.metadata);
  if (event.resOutputsEvent) return stepEvent("step-finished", event.resOutputsEvent.metadata);
  if (event.resOpFailedEvent) return stepEvent("step-failed", event.resOpFailedEvent.metadata);
  if (event.diagnosticEvent) return diagnostic(event.diagnosticEvent);
  if (!event.summaryEvent) return undefined;
  const changes = event.summaryEvent.resourceChanges ?? {};
  const count = (kind: StepKind) => changes[kind] ?? 0;
  const summary = {
    create: count("create"),
    update: count("update"),
    replace: count("replace"),
    delete: count("delete"),
    same: count("same"),
  };
  return { kind: "summary", summary };
}

function stepEvent(
  kind: "step-started" | "step-finished" | "step-failed",
  metadata: z.infer<typeof step>["metadata"],
): HostEvent | undefined {
  const op = stepKinds.find((known) => known === metadata.op);
  return op && { kind, op, urn: metadata.urn };
}

function diagnostic(event: {
  readonly urn?: string | undefined;
  readonly message: string;
  readonly severity: string;
  readonly ephemeral?: boolean | undefined;
}): HostEvent | undefined {
  const message = event.message.replaceAll(/<\{%[^%]*%\}>/g, "").trimEnd();
  const severity = event.severity.split("#")[0] as Severity;
  if (message.trim() === "" || severity === "debug") return undefined;
  const urn = event.urn ?? "";
  if (event.ephemeral) return urn === "" ? undefined : { kind: "status", urn, message };
  return { kind: "diagnostic", severity, message, ...(urn !== "" && { urn }) };
}
