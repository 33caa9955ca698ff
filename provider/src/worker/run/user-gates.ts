import { setTimeout as sleep } from "node:timers/promises";
import { RefusedError, UnreachableError } from "../../errors.js";
import type { MigrationSpec } from "../../inputs/inputs.js";
import { withSession } from "../../postgres/connection/with-session.js";
import type { Endpoint } from "../../postgres/connection/endpoint.js";
import type { Journal } from "../../store/journal.js";
import type { Finding } from "../../findings.js";
import type { MigrationSubState } from "../../status.js";
import { parseUtcTime } from "../../units/utc-time.js";
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
  /** Target databases that an earlier try created. */
  readonly ownDatabases: ReadonlySet<string>;
}

const pollMs = 500;

/**
 * The waits before the data migration, named after Azure's substates. An input of the resource releases each wait. A wait
 * also ends when its condition is met in another way.
 */
export class UserGates {
  /** Findings of the waits, to be reported with those of the validation. */
  readonly findings: Finding[] = [];

  constructor(readonly migration: WaitingMigration) {}

  /** Released by `dbsToMigrate`. */
  async databasesSpecified(): Promise<void> {
    await this.#until("WaitingForDBsToMigrateSpecification", (spec) => spec.dbsToMigrate.length > 0);
  }

  /**
   * Released by `setupLogicalReplicationOnSourceDbIfNeeded` and the restart of the source, which activates the parameters.
   * Without `waitForConfirmation` it does not wait: the validation then reports missing parameters.
   */
  async sourceCanBeFollowed(): Promise<void> {
    const { source, requests, journal } = this.migration;
    if (requests.spec.migrationMode === "Offline") return;
    let setUp = false;
    await this.#until("WaitingForLogicalReplicationSetupRequestOnSourceDB", async (spec) => {
      const gaps = await logicalReplicationGaps(source, spec);
      if (gaps.length === 0) return true;
      if (spec.setupLogicalReplicationOnSourceDbIfNeeded && !setUp) {
        setUp = true;
        const findings = await setUpLogicalReplication(source, spec, gaps);
        this.findings.push(...findings);
        for (const database of spec.dbsToMigrate)
          await journal.database(database, {
            message: findings.map(({ message, remedy }) => `${message}. To do: ${remedy ?? ""}`).join("\n"),
          });
      }
      return !spec.waitForConfirmation;
    });
  }

  /** Released by `overwriteDbsInTarget`, or when the existing databases are dropped. */
  async overwriteAllowed(): Promise<void> {
    await this.#until("WaitingForTargetDBOverwriteConfirmation", async (spec) => {
      if (spec.overwriteDbsInTarget || spec.dataOnly || !spec.waitForConfirmation) return true;
      return (await this.#existingDatabases(spec)).length === 0;
    });
  }

  /** Released by `startDataMigration`, or at the start of the migration window. @throws RefusedError after the window's end */
  async mayStart(): Promise<void> {
    await this.#until(
      "WaitingForDataMigrationScheduling",
      (spec) => spec.startDataMigration || spec.migrationWindowStartTimeInUtc !== undefined,
    );
    await this.#until("WaitingForDataMigrationWindow", ({ migrationWindowStartTimeInUtc: start }) => {
      return start === undefined || parseUtcTime(start) <= Date.now();
    });
    const end = this.migration.requests.spec.migrationWindowEndTimeInUtc;
    if (end !== undefined && parseUtcTime(end) <= Date.now())
      throw new RefusedError(`the migration window ended at ${end} before the data migration could start`, {
        remedy: "set migrationWindowStartTimeInUtc and migrationWindowEndTimeInUtc to a future window",
      });
  }

  async #existingDatabases(spec: MigrationSpec): Promise<string[]> {
    const options = { database: spec.maintenanceDatabase, purpose: `${spec.migrationName} databases` };
    const { rows } = await withSession(this.migration.target, options, (session) =>
      session.query<{ name: string }>("SELECT datname AS name FROM pg_database WHERE datname = ANY ($1)", [
        spec.dbsToMigrate.map((database) => targetDatabase(spec, database)),
      ]),
    );
    return rows.map(({ name }) => name).filter((name) => !this.migration.ownDatabases.has(name));
  }

  /** Waits until released. Records the wait once, and again after every spec change that does not release it. */
  async #until(
    subState: MigrationSubState,
    isReleased: (spec: MigrationSpec) => boolean | Promise<boolean>,
  ): Promise<void> {
    const { requests, journal, signal } = this.migration;
    let recordedRevision = -1;
    for (;;) {
      signal.throwIfAborted();
      const revision = requests.specRevision;
      try {
        if (await isReleased(requests.spec)) return;
      } catch (error) {
        // Before the wait, the validation reports an unreachable server. During it, the server may be restarting.
        if (!(error instanceof RefusedError || error instanceof UnreachableError)) throw error;
        if (recordedRevision === -1) return;
      }
      if (recordedRevision !== revision) {
        recordedRevision = revision;
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
