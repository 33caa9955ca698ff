import { Canceled, TakenOver, messageOf } from "../../errors.js";
import type { DatabaseSteps } from "./database-steps.js";
import type { Leavings } from "../cleanup/migration-cleanup.js";
import type { RunContext } from "../context/run-context.js";

/** How a run that does not come to its end is ended, and written down. */
export class Ending {
  readonly #context: RunContext;
  readonly #steps: DatabaseSteps;
  readonly #leavings: Leavings;

  constructor(context: RunContext, steps: DatabaseSteps, leavings: Leavings) {
    this.#context = context;
    this.#steps = steps;
    this.#leavings = leavings;
  }

  /** A worker that was told to stop, or was succeeded, leaves the state as it is. */
  async by(error: unknown): Promise<void> {
    if (error instanceof TakenOver) {
      process.stdout.write(`${error.message}\n`);
      return;
    }
    if (error instanceof Canceled) return this.#byCancel(error);
    const { journal } = this.#context;
    await journal.event(messageOf(error), { level: "error" });
    const databases = await this.#context.currentDatabases();
    const notes: string[] = [];
    for (const database of databases.filter(({ name }) => !this.#steps.hasFailed(name)))
      notes.push(...(await this.#leavings.leaveFailed(database, error)));
    await journal.state("Failed", "Completed", [messageOf(error), ...notes].join("\n"));
  }

  async #byCancel(error: Canceled): Promise<void> {
    const { journal, requests } = this.#context;
    await journal.event(error.message);
    if (!requests.canceled) return;
    await journal.state("CleaningUp", "CancelingRequestedDBMigrations");
    const databases = (await this.#context.currentDatabases()).filter(({ phase }) => phase !== "done");
    for (const { name, phase } of databases)
      if (phase !== "canceled") await journal.database(name, { phase: "canceled", state: "Canceling", message: null });
    // At the same time: each waits for a server that is away.
    const left = await Promise.all(databases.map(({ name }) => this.#letGo(name)));
    const notes = left.flatMap((note) => note ?? []);
    if (notes.length === 0) return journal.state("Canceled", "Completed");
    const way = "canceled, but not all could be removed; pulumi up tries again, and so does pulumi destroy";
    await journal.state("Failed", "Completed", [way, ...notes].join("\n"));
  }

  /** @returns what could not be removed */
  async #letGo(name: string): Promise<string | undefined> {
    try {
      await this.#steps.letGo(name);
      return undefined;
    } catch (error) {
      if (error instanceof TakenOver) throw error;
      await this.#context.journal.database(name, { state: "Failed", message: messageOf(error) });
      return messageOf(error);
    }
  }
}
