import { log } from "../../log.js";
import type { Client } from "pg";
import { messageOf } from "../../errors.js";
import { connect } from "../../postgres/connection/connect.js";
import { type BlockedSession, blockedSessions } from "../../postgres/locks/blocked-sessions.js";
import type { Finding } from "../../findings.js";
import { delay } from "../../async/delay.js";
import type { Work } from "../context/work.js";

const lookEveryMs = 3000;

/** Of these findings, which come and go. */
const code = "603121";

/**
 * Tells whom on the source the locks of a database's copy hold up, for as long as they do: nothing else shows an
 * application that its ALTER or TRUNCATE waits for a migration, and that others wait behind it.
 */
export class BlockedSessionsMonitor {
  readonly #work: Pick<Work, "source" | "spec" | "journal">;
  readonly #database: string;
  readonly #stopped = new AbortController();
  readonly #watching: Promise<void>;
  readonly #told = new Set<string>();
  #session: Client | undefined;
  #said = "";
  #hidden = "";

  constructor(work: Pick<Work, "source" | "spec" | "journal">, database: string) {
    this.#work = work;
    this.#database = database;
    this.#watching = this.#watch().catch((error: unknown) => {
      // The copy goes on without: what takes its lease away is told by its other writes.
      log.warn(`whom the copy of ${database} holds up is not looked at any more: ${messageOf(error)}`);
    });
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#watching;
  }

  async #watch(): Promise<void> {
    const { signal } = this.#stopped;
    // What a worker before has said last.
    await this.#tell([]);
    try {
      for (;;) {
        // Most copies take less, and need no look.
        await delay(lookEveryMs, signal);
        if (signal.aborted) return;
        await this.#tell(await this.#look());
      }
    } finally {
      await this.#session?.end().catch(() => undefined);
      await this.#tell([]);
    }
  }

  /** A source that is away is the copy's business. */
  async #look(): Promise<BlockedSession[]> {
    const { source, spec } = this.#work;
    try {
      this.#session ??= await connect(source, {
        database: this.#database,
        purpose: `${spec.migrationName} look at locks`,
      });
      return await blockedSessions(this.#session);
    } catch (error) {
      this.#noteHidden(messageOf(error));
      await this.#session?.end().catch(() => undefined);
      this.#session = undefined;
      return [];
    }
  }

  /** Once for each reason: a source that refuses does so at every look. */
  #noteHidden(reason: string): void {
    if (reason === this.#hidden) return;
    this.#hidden = reason;
    log.warn(`whom the copy of ${this.#database} holds up cannot be seen: ${reason}`);
  }

  async #tell(sessions: readonly BlockedSession[]): Promise<void> {
    const { journal } = this.#work;
    const findings = sessions.map((one) => ({ database: this.#database, ...heldUpFinding(one) }));
    const said = JSON.stringify(findings);
    if (said === this.#said) return;
    await journal.standing(this.#database, code, findings);
    this.#said = said;
    for (const { object, message } of findings) {
      if (this.#told.has(object)) continue;
      this.#told.add(object);
      await journal.event(message, { database: this.#database, level: "warning" });
    }
  }
}

function heldUpFinding(session: BlockedSession): Finding & { readonly object: string } {
  const { pid, user, applicationName, table, waitingSince, statementSince, behind } = session;
  const who = `${user ?? "an unknown role"}, ${applicationName || "no application name"}`;
  const what =
    table === undefined ? "waits for the copy's transactions to end" : `waits to lock ${table}, which is being copied`;
  const crowd = behind === 0 ? "" : `, with ${behind} more behind it`;
  return {
    ...{ code, type: "ServerParametersValidation", state: "Warning", objectType: "Database" },
    object: `session ${pid}`,
    message: `session ${pid} on the source (${who}, in a statement begun at ${moment(statementSince)}) ${what}, since ${moment(waitingSince)}${crowd}`,
    remedy: `let it wait until the rows are copied, or have it give way: SELECT pg_cancel_backend(${pid}) on the source; while tables are copied, alter and truncate none, or with a lock_timeout`,
  };
}

const moment = (at: Date | undefined): string => at?.toISOString().replace(/\.\d+/, "") ?? "an unknown time";
