import type { HostEvent, OperationResult, Severity, StepKind } from "./host";
import type { PropertyValue } from "./protocol/property-value";
import { nameOf, typeOf } from "./protocol/urn";

const redrawMs = 250;
const plainStatusMs = 3_000;

const symbols: Readonly<Record<StepKind, string>> = {
  same: " ",
  create: "+",
  update: "~",
  delete: "-",
  replace: "+-",
  "create-replacement": "++",
  "delete-replaced": "--",
  read: ">",
  refresh: "~",
};

/** The output of a display: standard output, or a text in a test. */
export interface Screen {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

interface RunningStep {
  readonly op: StepKind;
  readonly startedAt: number;
  status: string;
  shownStatus: string;
  shownAt: number;
}

/**
 * Shows an operation while it runs. On a terminal, every running step has a line with its live status. Otherwise a changed
 * status is printed every few seconds at most.
 */
export class Display {
  readonly #screen: Screen;
  readonly #now: () => number;
  readonly #running = new Map<string, RunningStep>();
  #drawnLines = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(screen: Screen, now: () => number = Date.now) {
    this.#screen = screen;
    this.#now = now;
  }

  show(event: HostEvent): void {
    if (event.kind === "step-started") this.#start(event.op, event.urn);
    else if (event.kind === "status") this.#status(event.urn, event.message);
    else if (event.kind === "diagnostic") this.#print(diagnosticLine(event.severity, event.message, event.urn));
    else this.#finish(event);
  }

  close(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#erase();
    this.#running.clear();
  }

  #start(op: StepKind, urn: string): void {
    this.#running.set(urn, { op, startedAt: this.#now(), status: "", shownStatus: "", shownAt: this.#now() });
    if (!this.#screen.isTTY) return;
    this.#timer ??= setInterval(() => this.#redraw(), redrawMs).unref();
    this.#redraw();
  }

  #finish({ kind, op, urn }: { readonly kind: string; readonly op: StepKind; readonly urn: string }): void {
    const startedAt = this.#running.get(urn)?.startedAt ?? this.#now();
    this.#running.delete(urn);
    const outcome = kind === "step-failed" ? "failed" : "done";
    this.#print(`${stepLabel(op, urn)} ${outcome} (${elapsed(this.#now() - startedAt)})`);
  }

  #status(urn: string, message: string): void {
    const step = this.#running.get(urn);
    if (!step) return;
    step.status = message.replaceAll(/\s+/g, " ").trim();
    if (this.#screen.isTTY || step.status === step.shownStatus) return;
    if (step.shownStatus !== "" && this.#now() - step.shownAt < plainStatusMs) return;
    step.shownStatus = step.status;
    step.shownAt = this.#now();
    this.#print(`${stepLabel(step.op, urn)} ${step.status} (${elapsed(this.#now() - step.startedAt)})`);
  }

  #print(line: string): void {
    this.#erase();
    this.#screen.write(`${line}\n`);
    if (this.#screen.isTTY) this.#draw();
  }

  #redraw(): void {
    this.#erase();
    this.#draw();
  }

  #erase(): void {
    if (this.#drawnLines > 0) this.#screen.write(`\u001b[${this.#drawnLines}A\u001b[J`);
    this.#drawnLines = 0;
  }

  #draw(): void {
    const width = (this.#screen.columns ?? 80) - 1;
    for (const [urn, { op, status, startedAt }] of this.#running) {
      const line = `${stepLabel(op, urn)} ${status} (${elapsed(this.#now() - startedAt)})`;
      this.#screen.write(`${line.slice(0, width)}\n`);
      this.#drawnLines += 1;
    }
  }
}

function stepLabel(op: StepKind, urn: string): string {
  return `${symbols[op].padStart(3)} ${typeOf(urn)} ${nameOf(urn)} ${op}`;
}

function diagnosticLine(severity: Severity, message: string, urn: string | undefined): string {
  const about = urn === undefined ? "" : `${typeOf(urn)} ${nameOf(urn)}: `;
  return `${severity}: ${about}${message}`;
}

function elapsed(milliseconds: number): string {
  const seconds = Math.floor(milliseconds / 1000);
  if (seconds < 60) return `${seconds}s`;
  return `${Math.floor(seconds / 60)}m${String(seconds % 60).padStart(2, "0")}s`;
}

/** Summarizes an operation: outputs, and the number of changed resources. */
export function summaryText(result: OperationResult): string {
  const outputs = Object.entries(result.outputs).map(([name, value]) => `    ${name}: ${shown(value)}\n`);
  const counts = Object.entries(result.summary).filter(([, count]) => count > 0);
  const resources = counts.map(([kind, count]) => `    ${count} ${kind}\n`);
  const head = outputs.length > 0 ? `Outputs:\n${outputs.join("")}` : "";
  return `${head}Resources:\n${resources.join("") || "    none\n"}${result.ok ? "" : "The operation failed.\n"}`;
}

function shown(value: PropertyValue): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}
