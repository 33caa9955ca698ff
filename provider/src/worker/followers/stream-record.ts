import { targetDatabase } from "../../inputs/target-database.js";
import type { StreamState } from "./stream-state.js";
import type { Work } from "../context/work.js";

/** The recorded state of one database's stream, and its events. */
export class StreamRecord {
  readonly work: Work;
  readonly database: string;
  /** Former names, qualified and quoted, of tables that were renamed or dropped. The stream still contains them. */
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

  /** Tables whose changes are skipped until they are copied, by the names in the stream. */
  get skipped(): readonly string[] {
    return [...Object.keys(this.#following.joining ?? {}), ...this.formerNames];
  }

  async keep(changes: Partial<StreamState>): Promise<void> {
    this.#following = { ...this.#following, ...changes };
    await this.work.journal.database(this.database, { deferredPlan: this.#following });
  }

  /** Shows what the database waits for; null clears the message. */
  showMessage(message: string | null): Promise<void> {
    return this.work.journal.database(this.database, { message });
  }

  say(message: string, level: "info" | "warning" = "info"): Promise<void> {
    return this.work.journal.event(message, { database: this.database, level });
  }
}
