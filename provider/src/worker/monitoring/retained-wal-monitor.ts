import { log } from "../../log.js";
import { isDeepStrictEqual } from "node:util";
import type { Client } from "pg";
import { idleTimeoutSeconds, withoutIdleTimeout } from "../../cdc/source/idle-slot.js";
import { migrationRoles } from "../../cdc/model/stream-roles.js";
import { slotLost } from "../../cdc/source/slot-identity.js";
import { type SlotState, inspectSlot } from "../../cdc/source/slot-state.js";
import { SourceAtRiskError, messageOf } from "../../errors.js";
import type { MigrationSpec } from "../../inputs/inputs.js";
import { connect } from "../../postgres/connection/connect.js";
import type { Endpoint } from "../../postgres/connection/endpoint.js";
import type { Journal, RetainedWal } from "../../store/journal.js";
import { formatBytes } from "../../units/byte-size.js";
import { delay } from "../../async/delay.js";

const lookEveryMs = 2000;

/** So far beyond the limit, as a part of it, a source fills its disk while one waits. */
const farBeyond = 1.5;

/** The user is warned from here on, as a part of the limit. */
const warnedFrom = 0.8;

/** And from here on that nobody reads the slot, as a part of the time for which its server lets that be. */
const idleWarnedFrom = 0.5;

export interface RetainedWalMonitorOptions {
  /** The server that has the slot, which streams from the database there. */
  readonly server: Endpoint;
  readonly side: "source" | "target";
  readonly slot: string;
  readonly slotDatabase: string;
  /** Whom it is told about. */
  readonly database: string;
  /** Whether the stream has changes at hand that the other side has not taken; unknown before there is a stream. */
  readonly isHeldUp?: () => boolean | undefined;
  /** Whether the rows are still being copied: then the slot can be made anew with them. */
  readonly isCopied?: () => Promise<boolean>;
  readonly journal: Journal;
  /** The present spec: the limit may be raised while it is watched. */
  readonly spec: () => MigrationSpec;
  /** Where nothing else than a warning is wanted: what to do then. */
  readonly onlyWarns?: string;
  /** As in connect; otherwise than by default in tests only. */
  readonly patienceMs?: number;
}

/**
 * Watches the WAL that a database's slot makes its server keep, from the slot's making on, so that the server's disk does
 * not fill: warns before the server's `max_slot_wal_keep_size` or the user's `maxRetainedWal` is reached, and aborts
 * {@link signal} at the latter. Only without the slot does the source get its disk back, whose end is the caller's. It
 * aborts as well once the server has given the slot up by itself: a copy that is under way would be for nothing.
 */
export class RetainedWalMonitor {
  readonly #options: RetainedWalMonitorOptions;
  readonly #hopeless = new AbortController();
  readonly #watching: Promise<void>;
  readonly #stopped = new AbortController();
  #warned = false;
  #warnedOfIdleness = false;
  /** Whether a lost slot is not one that a worker before has left, in whose place another one is about to be made. */
  #isOurs = false;
  #noted: RetainedWal | undefined;
  /** When the limit was first seen reached, and ever since. */
  #beyondSince: number | undefined;
  #session: Client | undefined;

  constructor(options: RetainedWalMonitorOptions) {
    this.#options = options;
    this.#watching = this.#watch();
  }

  /** Aborts with {@link SourceAtRiskError}; with RefusedError when the slot is lost. */
  get signal(): AbortSignal {
    return this.#hopeless.signal;
  }

  /** Whether it watches no more, by its owner's will. */
  get isStopped(): boolean {
    return this.#stopped.signal.aborted;
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#watching;
  }

  async #watch(): Promise<void> {
    try {
      while (!this.#stopped.signal.aborted && !this.signal.aborted) {
        await this.#look();
        await delay(lookEveryMs, this.#stopped.signal);
      }
    } finally {
      await this.#session?.end().catch(() => undefined);
    }
  }

  /** A source that is away fills no disk by our doing that it would tell us of: the stream rides that out, or fails. */
  async #look(): Promise<void> {
    try {
      const { server, slotDatabase, spec, patienceMs } = this.#options;
      const purpose = `${spec().migrationName} guard`;
      this.#session ??= await connect(server, {
        database: slotDatabase,
        purpose,
        ...(patienceMs === undefined ? {} : { patienceMs }),
      });
      await this.#judge(this.#session);
    } catch (error) {
      log.warn(`the WAL retained for ${this.#options.database} cannot be seen: ${messageOf(error)}`);
      await this.#session?.end().catch(() => undefined);
      this.#session = undefined;
    }
  }

  async #judge(session: Client): Promise<void> {
    const { database, slot, onlyWarns, spec } = this.#options;
    const state = await inspectSlot(session, slot);
    if (state?.walStatus === "lost") {
      await this.#endOf(state);
      return;
    }
    this.#isOurs = true;
    await this.#warnOfIdleness(session, state?.idleSeconds ?? 0);
    const retained = state?.retainedBytes;
    if (retained === undefined) return;
    const limit = spec().maxRetainedWal;
    const lowest = Math.min(limit ?? Infinity, (await slotKeepBytes(session)) ?? Infinity);
    if (onlyWarns === undefined)
      await this.#note({ bytes: retained, limitBytes: lowest === Infinity ? undefined : lowest });
    const mayAbort = onlyWarns === undefined;
    this.#beyondSince = limit !== undefined && retained >= limit ? (this.#beyondSince ?? Date.now()) : undefined;
    if (
      mayAbort &&
      limit !== undefined &&
      this.#beyondSince !== undefined &&
      Date.now() - this.#beyondSince >= 1000 * this.#lockTimeoutSeconds(state?.unconfirmedBytes ?? retained, limit)
    ) {
      this.#hopeless.abort(
        new SourceAtRiskError(
          `the source keeps ${formatBytes(retained)} of WAL for the slot ${slot} of ${database}, and maxRetainedWal allows ${formatBytes(limit)}: the slot is dropped, so that the source's disk does not fill`,
          {
            remedy: `find out why the target is behind (dbDetails: lag, message), give the source more disk and raise maxRetainedWal; ${
              spec().onMaxRetainedWal === "pause"
                ? "pulumi up then copies the database anew"
                : "the database stays canceled until it is taken out of dbsToMigrate and put in again"
            }`,
          },
        ),
      );
      return;
    }
    await this.#warn(retained, lowest, slot);
  }

  #lockTimeoutSeconds(unconfirmed: number, limit: number): number {
    return lockTimeoutSeconds(unconfirmed, limit, this.#options.isHeldUp?.() ?? true);
  }

  async #note(retained: RetainedWal): Promise<void> {
    if (isDeepStrictEqual(retained, this.#noted)) return;
    await this.#options.journal.retainedWal(this.#options.database, retained);
    this.#noted = retained;
  }

  /** A way back says so itself, and is ended by the user. */
  async #endOf(lost: SlotState): Promise<void> {
    const { slot, onlyWarns, isCopied } = this.#options;
    if (!this.#isOurs || onlyWarns !== undefined) return;
    this.#hopeless.abort(slotLost({ name: slot, parts: migrationRoles }, lost, await isCopied?.()));
  }

  async #warnOfIdleness(session: Client, idleSeconds: number): Promise<void> {
    const { side, slot } = this.#options;
    const limit = await idleTimeoutSeconds(session);
    const isNear = limit !== undefined && idleSeconds >= idleWarnedFrom * limit;
    if (isNear && !this.#warnedOfIdleness)
      await this.#tell(
        `nobody reads the slot ${slot}, which the ${side} gives up after ${limit} s without (idle_replication_slot_timeout): the migration could then not go on`,
        withoutIdleTimeout(side),
      );
    this.#warnedOfIdleness = isNear;
  }

  async #warn(retained: number, limit: number, slot: string): Promise<void> {
    const { side, onlyWarns } = this.#options;
    const isNear = retained >= warnedFrom * limit;
    if (isNear && !this.#warned)
      await this.#tell(
        `the ${side} keeps ${formatBytes(retained)} of WAL for the slot ${slot}, of ${formatBytes(limit)} at most`,
        onlyWarns ??
          "cut over, or find out why the target is behind; raise maxRetainedWal and, on the source, ALTER SYSTEM SET max_slot_wal_keep_size while its disk has room",
      );
    this.#warned = isNear;
  }

  async #tell(message: string, remedy: string): Promise<void> {
    const { database, journal, slot } = this.#options;
    await journal.event(message, { database, level: "warning" });
    await journal.findings([
      {
        ...{ database, type: "ServerParametersValidation", state: "Warning" },
        ...{ object: slot, objectType: "Database", message, remedy },
      },
    ]);
  }
}

/**
 * How long the WAL that a slot retains may be beyond the limit; unconfirmed is what its stream has not taken yet, both in
 * bytes. For less than 30 s it may be a burst that another database has written: a stream that is not held up has it behind
 * it as soon as the server has read it. One that is held up far beyond the limit has no such time. A slot whose stream is up
 * to date lets go of WAL only when the server has logged who is running, every 15 s, and its stream has come to that:
 * dropping it earlier would be for nothing.
 */
export function lockTimeoutSeconds(unconfirmed: number, limit: number, isHeldUp: boolean): number {
  if (unconfirmed < limit) return 120;
  return isHeldUp && unconfirmed >= farBeyond * limit ? 3 : 30;
}

/** Beyond it the server gives the slot up by itself (parameter max_slot_wal_keep_size, from 13 on); undefined without. */
async function slotKeepBytes(session: Client): Promise<number | undefined> {
  const { rows } = await session.query<{ megabytes: number }>(
    "SELECT setting::float8 AS megabytes FROM pg_settings WHERE name = 'max_slot_wal_keep_size'",
  );
  const megabytes = rows[0]?.megabytes ?? -1;
  return megabytes < 0 ? undefined : megabytes * 2 ** 20;
}
