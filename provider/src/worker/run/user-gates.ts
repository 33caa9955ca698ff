import { setTimeout as sleep } from "node:timers/promises";
import { Refused, Unreachable } from "../../errors.js";
import type { Wish } from "../../inputs/inputs.js";
import { connect, type Endpoint } from "../../postgres/connection/connect.js";
import type { Finding, Journal } from "../../store/journal.js";
import type { MigrationSubState } from "../../status.js";
import { targetDatabase } from "../../inputs/target-database.js";
import { logicalReplicationGaps, setUpLogicalReplication } from "./logical-replication-setup.js";
import type { RequestWatch } from "../context/watch-requests.js";

export interface WaitingMigration {
  readonly source: Endpoint;
  readonly target: Endpoint;
  readonly journal: Journal;
  readonly requests: RequestWatch;
  /** Aborts when the worker has to stop. */
  readonly signal: AbortSignal;
  /** Names of databases on the target that an earlier try has made. */
  readonly ownDatabases: ReadonlySet<string>;
}

const pollMs = 500;

/**
 * The waits before the data moves, under the names of Azure's substates. One property of the resource releases each, or
 * what was waited for having come about otherwise.
 */
export class Confirmations {
  /** What was found on the way; the validation's findings take their place beside them. */
  readonly findings: Finding[] = [];

  constructor(readonly migration: WaitingMigration) {}

  /** Released by `dbsToMigrate`. */
  async databasesSpecified(): Promise<void> {
    await this.#until("WaitingForDBsToMigrateSpecification", (wish) => wish.dbsToMigrate.length > 0);
  }

  /**
   * Released by `setupLogicalReplicationOnSourceDbIfNeeded`, and then by the source's restart, without which its new
   * parameters do nothing. Where nobody is to be waited for, the validation says what is missing.
   */
  async sourceCanBeFollowed(): Promise<void> {
    const { source, requests, journal } = this.migration;
    if (requests.wish.migrationMode === "Offline") return;
    let setUp = false;
    await this.#until("WaitingForLogicalReplicationSetupRequestOnSourceDB", async (wish) => {
      const gaps = await logicalReplicationGaps(source, wish);
      if (gaps.length === 0) return true;
      if (wish.setupLogicalReplicationOnSourceDbIfNeeded && !setUp) {
        setUp = true;
        const findings = await setUpLogicalReplication(source, wish, gaps);
        this.findings.push(...findings);
        for (const database of wish.dbsToMigrate)
          await journal.database(database, {
            message: findings.map(({ message, remedy }) => `${message}. To do: ${remedy ?? ""}`).join("\n"),
          });
      }
      return !wish.waitForConfirmation;
    });
  }

  /** Released by `overwriteDbsInTarget`, or by the database being dropped. */
  async overwriteAllowed(): Promise<void> {
    await this.#until("WaitingForTargetDBOverwriteConfirmation", async (wish) => {
      if (wish.overwriteDbsInTarget || wish.dataOnly || !wish.waitForConfirmation) return true;
      return (await this.#existingDatabases(wish)).length === 0;
    });
  }

  /** Released by `startDataMigration` or by a window's start, and then by its hour. @throws Refused after its end */
  async mayStart(): Promise<void> {
    await this.#until(
      "WaitingForDataMigrationScheduling",
      (wish) => wish.startDataMigration || wish.migrationWindowStartTimeInUtc !== undefined,
    );
    await this.#until("WaitingForDataMigrationWindow", ({ migrationWindowStartTimeInUtc: start }) => {
      return start === undefined || Date.parse(start) <= Date.now();
    });
    const end = this.migration.requests.wish.migrationWindowEndTimeInUtc;
    if (end !== undefined && Date.parse(end) <= Date.now())
      throw new Refused(`the migration window ended at ${end} before the data migration could begin`, {
        remedy: "set migrationWindowStartTimeInUtc and migrationWindowEndTimeInUtc to a window to come",
      });
  }

  async #existingDatabases(wish: Wish): Promise<string[]> {
    const client = await connect(this.migration.target, {
      database: wish.maintenanceDatabase,
      purpose: `${wish.migrationName} look`,
    });
    try {
      const { rows } = await client.query<{ name: string }>(
        "SELECT datname AS name FROM pg_database WHERE datname = ANY ($1)",
        [wish.dbsToMigrate.map((database) => targetDatabase(wish, database))],
      );
      return rows.map(({ name }) => name).filter((name) => !this.migration.ownDatabases.has(name));
    } finally {
      await client.end();
    }
  }

  /** Says so where it has to wait, once, and again after every change of the wish that does not suffice. */
  async #until(subState: MigrationSubState, isReleased: (wish: Wish) => boolean | Promise<boolean>): Promise<void> {
    const { requests, journal, signal } = this.migration;
    let saidAt = -1;
    for (;;) {
      signal.throwIfAborted();
      const revision = requests.wishRevision;
      try {
        if (await isReleased(requests.wish)) return;
      } catch (error) {
        // A server that does not let us in is the validation's to tell; one that is being restarted comes back.
        if (!(error instanceof Refused || error instanceof Unreachable)) throw error;
        if (saidAt === -1) return;
      }
      if (saidAt !== revision) {
        saidAt = revision;
        await journal.state(
          subState === "WaitingForDataMigrationWindow" ? "InProgress" : "WaitingForUserAction",
          subState,
        );
        await journal.event(`waiting: ${subState}`);
      }
      await sleep(pollMs);
    }
  }
}
