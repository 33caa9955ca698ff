import { ChangeReporter, log } from "../../log.js";
import { messageOf } from "../../errors.js";
import { connect } from "../../postgres/connection/connect.js";
import { ReopenedSession } from "../../postgres/connection/reopened-session.js";
import { type BlockedSession, blockedSessions } from "../../postgres/locks/blocked-sessions.js";
import type { Finding } from "../../findings.js";
import { PeriodicTask } from "../../async/periodic-task.js";
import type { Work } from "../context/work.js";

/** Most copies are shorter and need no check. */
const checkEveryMs = 3000;

const code = "PGM-502";

/**
 * Reports the source's sessions that wait for locks of a database's copy, for as long as they wait. Applications have no
 * other way to see that their CREATE INDEX CONCURRENTLY waits for a migration, and that further sessions wait for it.
 */
export class BlockedSessionsMonitor {
  readonly #work: Pick<Work, "source" | "spec" | "journal">;
  readonly #database: string;
  readonly #session: ReopenedSession;
  readonly #task: PeriodicTask;
  readonly #reported = new Set<string>();
  readonly #findings = new ChangeReporter();
  readonly #failures = new ChangeReporter();

  constructor(work: Pick<Work, "source" | "spec" | "journal">, database: string) {
    const { source, spec } = work;
    this.#work = work;
    this.#database = database;
    this.#session = new ReopenedSession(() =>
      connect(source, { database, purpose: `${spec.migrationName} look at locks` }),
    );
    // The first run removes the findings of an earlier worker.
    let isFirst = true;
    this.#task = new PeriodicTask({
      everyMs: checkEveryMs,
      run: async () => {
        await this.#report(isFirst ? [] : await this.#blockedSessions());
        isFirst = false;
      },
      onFailure: (error) => this.#warnOfEnd(error),
    });
  }

  async close(): Promise<void> {
    await this.#task.close();
    await this.#session.close();
    await this.#report([]).catch((error: unknown) => this.#warnOfEnd(error));
  }

  /** The copy continues. A lost lease is detected by its other writes. */
  #warnOfEnd(error: unknown): void {
    log.warn(`stopped watching for sessions blocked by the copy of ${this.#database}: ${messageOf(error)}`);
  }

  /** The copy itself reports an unreachable source. */
  async #blockedSessions(): Promise<BlockedSession[]> {
    try {
      return await this.#session.use(blockedSessions);
    } catch (error) {
      const reason = messageOf(error);
      if (this.#failures.isNew(reason))
        log.warn(`cannot see sessions blocked by the copy of ${this.#database}: ${reason}`);
      return [];
    }
  }

  async #report(sessions: readonly BlockedSession[]): Promise<void> {
    const { journal } = this.#work;
    const findings = sessions.map((one) => ({ database: this.#database, ...blockedSessionFinding(one) }));
    if (!this.#findings.isNew(JSON.stringify(findings))) return;
    await journal.replaceFindings(this.#database, code, findings);
    for (const { object, message } of findings) {
      if (this.#reported.has(object)) continue;
      this.#reported.add(object);
      await journal.event(message, { database: this.#database, level: "warning" });
    }
  }
}

function blockedSessionFinding(session: BlockedSession): Finding & { readonly object: string } {
  const { pid, user, applicationName, table, waitingSince, statementSince, behind } = session;
  const client = `${user ?? "an unknown role"}, ${applicationName || "no application name"}`;
  const wait =
    table === undefined ? "waits for the copy's transactions to end" : `waits to lock ${table}, which is being copied`;
  const queue = behind === 0 ? "" : `, and ${behind} more sessions wait for it`;
  return {
    code,
    type: "ServerParametersValidation",
    state: "Warning",
    objectType: "Database",
    object: `session ${pid}`,
    message: `session ${pid} on the source (${client}, statement started at ${timeText(statementSince)}) ${wait}, since ${timeText(waitingSince)}${queue}`,
    remedy: `let it wait until the rows are copied, or cancel it: SELECT pg_cancel_backend(${pid}) on the source`,
  };
}

const timeText = (at: Date | undefined): string => at?.toISOString().replace(/\.\d+/, "") ?? "an unknown time";
