import type { Diagnostic, HostEvent, Step, StepKind, Summary } from "./host";
import type { Mask } from "./protocol/mask";

const summaryKeys = new Set<StepKind>(["create", "update", "replace", "delete", "same"]);

/** Steps and messages of an operation, recorded for its result and sent to its listener. Secrets are hidden. */
export class Journal {
  readonly #mask: Mask;
  readonly #tell: (event: HostEvent) => void;
  readonly #steps: Step[] = [];
  readonly #diagnostics: Diagnostic[] = [];
  readonly #failure = new AbortController();

  constructor(mask: Mask, tell: (event: HostEvent) => void) {
    this.#mask = mask;
    this.#tell = tell;
  }

  get failed(): boolean {
    return this.#failure.signal.aborted;
  }

  /** Aborted at the first failure. No step may start afterwards. */
  get failure(): AbortSignal {
    return this.#failure.signal;
  }

  get steps(): readonly Step[] {
    return this.#steps;
  }

  get diagnostics(): readonly Diagnostic[] {
    return this.#diagnostics;
  }

  get summary(): Summary {
    const summary = { create: 0, update: 0, replace: 0, delete: 0, same: 0 };
    for (const { op } of this.#steps) {
      if (summaryKeys.has(op)) summary[op as keyof Summary] += 1;
    }
    return summary;
  }

  /** Runs a step and records it with its result. */
  async step<Result>(
    op: StepKind,
    urn: string,
    work: () => Promise<Result> | Result,
    outcome: (result: Result) => StepKind = () => op,
  ): Promise<Result> {
    this.#tell({ kind: "step-started", op, urn });
    try {
      const result = await work();
      this.record(outcome(result), urn);
      return result;
    } catch (error) {
      this.#tell({ kind: "step-failed", op, urn });
      throw error;
    }
  }

  record(op: StepKind, urn: string): void {
    this.#steps.push({ op, urn });
    this.#tell({ kind: "step-finished", op, urn });
  }

  say(diagnostic: Diagnostic): void {
    const shown = { ...diagnostic, message: this.#mask.hide(diagnostic.message) };
    this.#diagnostics.push(shown);
    this.#tell({ kind: "diagnostic", ...shown });
  }

  fail(error: unknown, urn?: string): void {
    this.#failure.abort();
    const message = error instanceof Error ? error.message : String(error);
    this.say({ severity: "error", message, ...(urn !== undefined && { urn }) });
  }

  /** Fails without a further message, for a reason that was already reported. */
  failReported(): void {
    this.#failure.abort();
  }

  /** Shows the live status of a resource. It is not recorded. */
  status(urn: string, message: string): void {
    this.#tell({ kind: "status", urn, message: this.#mask.hide(message) });
  }
}
