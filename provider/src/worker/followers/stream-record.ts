import { targetDatabase } from "../../inputs/target-database.js";
import type { StreamState } from "./stream-state.js";
import type { Work } from "../context/work.js";

/** What is known of the stream of one database, and what is told of it. */
export class StreamRecord {
  readonly work: Work;
  readonly database: string;
  /** Names, qualified and quoted, by which the stream will call tables that are called otherwise now, or are gone. */
  readonly formerNames = new Set<string>();
  #following: StreamState;

  constructor(work: Work, database: string, following: StreamState) {
    this.work = work;
    this.database = database;
    this.#following = following;
  }

  get targetName(): string {
    return targetDatabase(this.work.spec, this.database);
  }

  get following(): StreamState {
    return this.#following;
  }

  /** Tables whose changes the stream leaves out until they are copied, as it calls them. */
  get skipped(): readonly string[] {
    return [...Object.keys(this.#following.joining ?? {}), ...this.formerNames];
  }

  async keep(changes: Partial<StreamState>): Promise<void> {
    this.#following = { ...this.#following, ...changes };
    await this.work.journal.database(this.database, { deferredPlan: this.#following });
  }

  /** What the database waits for; null when it does not any more. */
  showMessage(message: string | null): Promise<void> {
    return this.work.journal.database(this.database, { message });
  }

  say(message: string, level: "info" | "warning" = "info"): Promise<void> {
    return this.work.journal.event(message, { database: this.database, level });
  }
}
