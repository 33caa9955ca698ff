import { inspectSlot } from "../cdc/slot-state.js";
import { Canceled, ContentDiffers, TakenOver, messageOf } from "../errors.js";
import { connect } from "../postgres/connect.js";
import type { DatabaseRecord } from "../store/records.js";
import type { DatabaseSteps } from "./database-steps.js";
import type { Leavings } from "./leavings.js";
import type { RunContext } from "./run-context.js";

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
    const notes = wayForTheOthers(databases);
    for (const database of databases) notes.push(...(await this.#leave(database, error)));
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

  /**
   * A copy that failed is begun anew, so its slot only fills the source's disk; one that had come to following keeps its
   * slot, without which it could not go on.
   *
   * @returns what the user is told of: what stays, and what could not be removed
   */
  async #leave(database: DatabaseRecord, error: unknown): Promise<string[]> {
    const { name, phase, slot, hasWayBack } = database;
    const notes: string[] = [];
    const tried = (removal: Promise<void>): Promise<unknown> =>
      removal.catch((failure: unknown) => notes.push(messageOf(failure)));
    if (phase === "following") await tried(this.#leavings.takeDownFences(database));
    if (phase === "reversing") await tried(this.#leavings.takeDownFences(database, ["target"]));
    if (hasWayBack)
      notes.push(
        `the way back of ${name} has a slot on the target, which retains WAL there until pulumi up goes on, rollback is drop, or pulumi destroy removes it`,
      );
    if (slot === undefined) return notes;
    const isFollowed = phase === "following" || phase === "finishing";
    if (!isFollowed) await tried(this.#leavings.dropSourceObjects(name));
    else if (!(error instanceof ContentDiffers) && (await this.#retainsWal(slot, name)))
      notes.push(
        `the slot ${slot} is kept on the source and retains WAL there until pulumi up goes on or pulumi destroy removes it`,
      );
    return notes;
  }

  /** As far as anybody knows, where the source does not answer. */
  async #retainsWal(slot: string, database: string): Promise<boolean> {
    const { source, wish } = this.#context;
    try {
      const session = await connect(source, {
        ...{ database, purpose: `${wish.migrationName} look at slot`, bookkeeping: true },
      });
      const state = await inspectSlot(session, slot).finally(() => session.end());
      return state !== undefined && state.walStatus !== "lost";
    } catch {
      return true;
    }
  }
}

/** One database that fails ends the worker of all; where it fails at each try, the others need a way on. */
function wayForTheOthers(databases: readonly DatabaseRecord[]): string[] {
  const failed = databases.filter(({ state }) => state === "Failed").map(({ name }) => name);
  const others = databases.filter(({ phase, state }) => phase === "following" && state !== "Failed");
  if (failed.length === 0 || others.length === 0) return [];
  return [
    `${others.map(({ name }) => name).join(", ")}: followed again once pulumi up goes on; to go on without ${failed.join(", ")}, ` +
      `set cancel to true and dbsToCancelMigrationOn to ${JSON.stringify(failed)}`,
  ];
}
