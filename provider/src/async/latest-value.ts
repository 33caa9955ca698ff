/**
 * Hands values to a task, one after another. Of the values that wait, only the latest is kept.
 *
 * @example
 * const reports = new LatestValue<Status>((run) => void queue.run(run), (status) => journal.record(status));
 * reports.add(status);
 */
export class LatestValue<Value> {
  #waiting: { readonly value: Value } | undefined;

  /** @param enqueue runs its argument after the tasks that it got before */
  constructor(
    readonly enqueue: (run: () => Promise<void>) => void,
    readonly task: (value: Value) => Promise<void>,
  ) {}

  add(value: Value): void {
    const isQueued = this.#waiting !== undefined;
    this.#waiting = { value };
    if (!isQueued) this.enqueue(() => this.#run());
  }

  #run(): Promise<void> {
    const { value } = this.#waiting!;
    this.#waiting = undefined;
    return this.task(value);
  }
}
