import { log } from "../../log.js";
import { CanceledError, TakenOverError, messageOf } from "../../errors.js";
import type { DatabaseSteps } from "./database-steps.js";
import type { MigrationCleanup } from "../cleanup/migration-cleanup.js";
import type { RunContext } from "../context/run-context.js";

/** Records and cleans up a run that failed or was canceled. */
export class RunFailureHandler {
  readonly #context: RunContext;
  readonly #steps: DatabaseSteps;
  readonly #cleanup: MigrationCleanup;

  constructor(context: RunContext, steps: DatabaseSteps, cleanup: MigrationCleanup) {
    this.#context = context;
    this.#steps = steps;
    this.#cleanup = cleanup;
  }

  /** A worker that was stopped or replaced does not change the state. */
  async handle(error: unknown): Promise<void> {
    if (error instanceof TakenOverError) {
      log.info(error.message);
      return;
    }
    if (error instanceof CanceledError) return this.#byCancel(error);
    const { journal } = this.#context;
    await journal.event(messageOf(error), { level: "error" });
    const databases = await this.#context.currentDatabases();
    const notes: string[] = [];
    for (const database of databases.filter(({ name }) => !this.#steps.hasFailed(name)))
      notes.push(...(await this.#cleanup.cleanUpFailedDatabase(database, error)));
    await journal.state("Failed", "Completed", [messageOf(error), ...notes].join("\n"));
  }

  async #byCancel(error: CanceledError): Promise<void> {
    const { journal, requests } = this.#context;
    await journal.event(error.message);
    if (!requests.canceled) return;
    await journal.state("CleaningUp", "CancelingRequestedDBMigrations");
    const databases = (await this.#context.currentDatabases()).filter(({ phase }) => phase !== "done");
    for (const database of databases) if (database.phase !== "canceled") await this.#steps.recordCancellation(database);
    // In parallel, because each removal waits for an unreachable server.
    const results = await Promise.all(databases.map(({ name }) => this.#finishCancellation(name)));
    const notes = results.flatMap((note) => note ?? []);
    if (notes.length === 0) return journal.state("Canceled", "Completed");
    const message = "canceled, but some objects could not be removed; pulumi up and pulumi destroy try again";
    await journal.state("Failed", "Completed", [message, ...notes].join("\n"));
  }

  /** @returns the error of a failed removal */
  async #finishCancellation(name: string): Promise<string | undefined> {
    try {
      await this.#steps.finishCancellation(name);
      return undefined;
    } catch (error) {
      if (error instanceof TakenOverError) throw error;
      await this.#context.journal.database(name, { state: "Failed", message: messageOf(error) });
      return messageOf(error);
    }
  }
}
