import { log } from "../../log.js";
import { isDeepStrictEqual } from "node:util";
import type { Client } from "pg";
import { idleTimeoutSeconds, withoutIdleTimeout } from "../../cdc/source/idle-slot.js";
import { migrationRoles } from "../../cdc/model/stream-roles.js";
import { slotLost } from "../../cdc/source/slot-identity.js";
import { type SlotState, inspectSlot } from "../../cdc/source/slot-state.js";
import { SourceAtRiskError, messageOf } from "../../errors.js";
import type { MigrationSpec } from "../../inputs/inputs.js";
import { detectPlatform } from "../../platforms/detect-platform.js";
import { parameterCommands, type Platform } from "../../platforms/platform.js";
import { connect } from "../../postgres/connection/connect.js";
import { ReopenedSession } from "../../postgres/connection/reopened-session.js";
import type { Endpoint } from "../../postgres/connection/endpoint.js";
import type { Journal, RetainedWal } from "../../store/journal.js";
import { formatBytes } from "../../units/byte-size.js";
import { PeriodicTask } from "../../async/periodic-task.js";

const checkEveryMs = 2000;

/** Factor of the limit from which the slot is dropped without the usual wait, because the disk may fill meanwhile. */
const farBeyond = 1.5;

/** Fraction of the limit from which the user is warned. */
const warnedFrom = 0.8;

/** Fraction of the server's idle timeout from which the user is warned about an unread slot. */
const idleWarnedFrom = 0.5;

export interface RetainedWalMonitorOptions {
  /** The server with the slot. */
  readonly server: Endpoint;
  readonly side: "source" | "target";
  readonly slot: string;
  /** The slot's database on that server. */
  readonly slotDatabase: string;
  /** The migrated database that findings and events name. */
  readonly database: string;
  /** Whether the stream has changes that are not applied yet; undefined before there is a stream. */
  readonly hasUnappliedChanges?: () => boolean | undefined;
  /** Whether the rows are still being copied. Then the next copy can create a new slot. */
  readonly isCopying?: () => Promise<boolean>;
  readonly journal: Journal;
  /** The current spec: an update may raise the limit meanwhile. */
  readonly spec: () => MigrationSpec;
  /** Remedy of the warning. If set, the monitor only warns and never aborts {@link RetainedWalMonitor.signal}. */
  readonly warnOnlyRemedy?: string;
  /** As in connect; set in tests only. */
  readonly patienceMs?: number;
}

/**
 * Watches the WAL that a server retains for a slot, from the creation of the slot, so that the server's disk does not fill.
 * Warns before `max_slot_wal_keep_size` or `maxRetainedWal` is reached. Aborts {@link signal} at `maxRetainedWal`: the caller
 * then drops the slot, which frees the disk space. Also aborts when the server invalidated the slot, because the copy would
 * be useless.
 */
export class RetainedWalMonitor {
  readonly #options: RetainedWalMonitorOptions;
  readonly #abort = new AbortController();
  readonly #session: ReopenedSession;
  readonly #task: PeriodicTask;
  #warned = false;
  #warnedOfIdleness = false;
  /** False while a lost slot may be that of an earlier worker, which is about to be replaced. */
  #isOurs = false;
  #recorded: RetainedWal | undefined;
  /** Since when the limit is exceeded without interruption, in ms since 1970. */
  #beyondSince: number | undefined;

  constructor(options: RetainedWalMonitorOptions) {
    const { server, slotDatabase: database, spec, patienceMs } = options;
    this.#options = options;
    this.#session = new ReopenedSession(() =>
      connect(server, {
        database,
        purpose: `${spec().migrationName} guard`,
        ...(patienceMs === undefined ? {} : { patienceMs }),
      }),
    );
    this.#task = new PeriodicTask({
      everyMs: checkEveryMs,
      run: async () => {
        await this.#session
          .use((session) => this.#check(session))
          .catch((error: unknown) => this.#warnOfFailure(error));
        // After an abort no further check follows.
        if (this.signal.aborted) await this.#session.close();
      },
      onFailure: (error) => this.#warnOfFailure(error),
      signal: this.signal,
    });
  }

  /** Aborts with {@link SourceAtRiskError}; with RefusedError when the slot is lost. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Whether its owner closed it. */
  get isClosed(): boolean {
    return this.#task.isClosed;
  }

  async close(): Promise<void> {
    await this.#task.close();
    await this.#session.close();
  }

  /** The next check tries again. The stream retries during an outage of the server, or fails. */
  #warnOfFailure(error: unknown): void {
    log.warn(`cannot see the WAL retained for ${this.#options.database}: ${messageOf(error)}`);
  }

  async #check(session: Client): Promise<void> {
    const { slot, warnOnlyRemedy, spec } = this.#options;
    const state = await inspectSlot(session, slot);
    if (state?.walStatus === "lost") {
      await this.#abortAsLost(session, state);
      return;
    }
    this.#isOurs = true;
    await this.#warnOfIdleness(session, state?.idleSeconds ?? 0);
    const retained = state?.retainedBytes;
    if (retained === undefined) return;
    const limit = spec().maxRetainedWal;
    const lowest = Math.min(limit ?? Infinity, (await slotKeepBytes(session)) ?? Infinity);
    if (warnOnlyRemedy === undefined) {
      await this.#record({ bytes: retained, limitBytes: lowest === Infinity ? undefined : lowest });
      if (limit !== undefined && this.#isBeyondFor(retained, state?.unconfirmedBytes ?? retained, limit)) {
        this.#abort.abort(this.#atRisk(retained, limit));
        return;
      }
    }
    await this.#warn(session, retained, lowest);
  }

  /** Whether the limit is exceeded for so long that the slot has to be dropped. */
  #isBeyondFor(retained: number, unconfirmed: number, limit: number): boolean {
    this.#beyondSince = retained >= limit ? (this.#beyondSince ?? Date.now()) : undefined;
    if (this.#beyondSince === undefined) return false;
    const hasUnappliedChanges = this.#options.hasUnappliedChanges?.() ?? true;
    return Date.now() - this.#beyondSince >= 1000 * toleratedSeconds(unconfirmed, limit, hasUnappliedChanges);
  }

  #atRisk(retained: number, limit: number): SourceAtRiskError {
    const { database, slot, spec } = this.#options;
    const afterwards =
      spec().onMaxRetainedWal === "pause"
        ? "pulumi up then copies the database again"
        : "the database stays canceled until it is removed from dbsToMigrate and added again";
    return new SourceAtRiskError(
      `the source retains ${formatBytes(retained)} of WAL for the slot ${slot} of ${database}, more than maxRetainedWal (${formatBytes(limit)}): the slot is dropped before the source's disk fills`,
      {
        remedy: `find out why the target is behind (dbDetails: lag, message), give the source more disk and raise maxRetainedWal; ${afterwards}`,
      },
    );
  }

  async #record(retained: RetainedWal): Promise<void> {
    if (isDeepStrictEqual(retained, this.#recorded)) return;
    await this.#options.journal.retainedWal(this.#options.database, retained);
    this.#recorded = retained;
  }

  /** The rollback replication detects its lost slot itself, and the user ends it. */
  async #abortAsLost(session: Client, lost: SlotState): Promise<void> {
    const { slot, warnOnlyRemedy, isCopying } = this.#options;
    if (!this.#isOurs || warnOnlyRemedy !== undefined) return;
    this.#abort.abort(
      slotLost({ name: slot, parts: migrationRoles }, lost, {
        platform: await this.#platform(session),
        isCopied: await isCopying?.(),
      }),
    );
  }

  async #warnOfIdleness(session: Client, idleSeconds: number): Promise<void> {
    const { side, slot } = this.#options;
    const limit = await idleTimeoutSeconds(session);
    const isNear = limit !== undefined && idleSeconds >= idleWarnedFrom * limit;
    if (isNear && !this.#warnedOfIdleness)
      await this.#report(
        `the slot ${slot} is not read, and the ${side} invalidates it after ${limit} s (idle_replication_slot_timeout): the migration could then not continue`,
        withoutIdleTimeout(side, await this.#platform(session)),
      );
    this.#warnedOfIdleness = isNear;
  }

  async #warn(session: Client, retained: number, limit: number): Promise<void> {
    const { side, slot, warnOnlyRemedy } = this.#options;
    const isNear = retained >= warnedFrom * limit;
    if (isNear && !this.#warned)
      await this.#report(
        `the ${side} retains ${formatBytes(retained)} of WAL for the slot ${slot}; the limit is ${formatBytes(limit)}`,
        warnOnlyRemedy ??
          `cut over, or find out why the target is behind; raise maxRetainedWal and, while the source's disk has room, max_slot_wal_keep_size: ${parameterCommands(await this.#platform(session), [{ name: "max_slot_wal_keep_size", value: "<megabytes>" }])}`,
      );
    this.#warned = isNear;
  }

  #platform(session: Client): Promise<Platform> {
    const { side, spec } = this.#options;
    return detectPlatform(session, side === "source" ? spec().sourceType : undefined);
  }

  async #report(message: string, remedy: string): Promise<void> {
    const { database, journal, slot } = this.#options;
    await journal.event(message, { database, level: "warning" });
    await journal.findings([
      {
        database,
        type: "ServerParametersValidation",
        state: "Warning",
        code: "PGM-505",
        object: slot,
        objectType: "Database",
        message,
        remedy,
      },
    ]);
  }
}

/**
 * Returns for how many seconds a slot may retain more WAL than the limit.
 *
 * - 120 s if the stream is up to date. The slot releases WAL only after the server logged its running transactions, which it
 *   does every 15 s. Dropping the slot earlier would be unnecessary.
 * - 30 s otherwise. A short burst of writes to another database passes in that time.
 * - 3 s if unapplied changes are far beyond the limit.
 *
 * @param unconfirmed bytes of WAL that the stream has not confirmed
 * @param limit in bytes
 */
export function toleratedSeconds(unconfirmed: number, limit: number, hasUnappliedChanges: boolean): number {
  if (unconfirmed < limit) return 120;
  return hasUnappliedChanges && unconfirmed >= farBeyond * limit ? 3 : 30;
}

/** The server invalidates the slot beyond this size (max_slot_wal_keep_size, PostgreSQL 13 and later). Undefined: no limit. */
async function slotKeepBytes(session: Client): Promise<number | undefined> {
  const { rows } = await session.query<{ megabytes: number }>(
    "SELECT setting::float8 AS megabytes FROM pg_settings WHERE name = 'max_slot_wal_keep_size'",
  );
  const megabytes = rows[0]?.megabytes ?? -1;
  return megabytes < 0 ? undefined : megabytes * 2 ** 20;
}
