import { setTimeout as sleep } from "node:timers/promises";
import { openInSnapshot, type Snapshot } from "../../copy/snapshot.js";
import type { TableToCopy } from "../../copy/tables-to-copy.js";
import { engineVersion } from "../../engine-version.js";
import { CanceledError, TakenOverError, UnreachableError, messageOf } from "../../errors.js";
import { isConnectionLoss } from "../../postgres/connection/connection-loss.js";
import type { MigrationSpec } from "../../inputs/inputs.js";
import { sqlStateOf, sqlStates } from "../../postgres/sql-state.js";
import { connect, tagSessions } from "../../postgres/connection/connect.js";
import type { RestoreFinding } from "../../schema/sql/restore-findings.js";
import { readRestoreContext, type RestoreContext } from "../../schema/restore/restore-context.js";
import type { MigrationState } from "../../status.js";
import { Journal } from "../../store/journal.js";
import { leaseHolder } from "../../store/lease.js";
import { Membership } from "../../store/membership.js";
import { readDatabases, readMigration, type DatabaseRecord } from "../../store/records.js";
import { recordSharedSnapshot, readSharedCopies, type DatabaseCopy } from "../../store/shared-copies.js";
import { Store } from "../../store/store.js";
import { CopyTasks } from "../../store/copy-tasks.js";
import { targetDatabase } from "../../inputs/target-database.js";
import { reportFindings } from "../context/report-findings.js";
import { runCopyTasks } from "./copy-tasks.js";
import { defaultJobs, type Parallelism } from "../context/default-parallelism.js";
import { helperName } from "../context/session-owner.js";
import { holdSnapshot } from "./earlier-copy.js";
import type { WorkerJob } from "../context/worker-job.js";
import { Semaphore } from "../../async/semaphore.js";
import { selectedTables } from "../context/selected-tables.js";
import { withStatementCancellation } from "../context/statement-cancellation.js";
import type { Work } from "../context/work.js";

/** How long who shares waits for a leader, or for the target: as long a snapshot keeps the source from vacuuming. */
export const orphanTimeoutSeconds = 600;

/** What a worker sees of a migration that it does not lead. */
export interface MigrationView {
  readonly state: MigrationState;
  readonly spec: MigrationSpec;
  readonly generation: number;
  /** As the records have it. */
  readonly startedAt: string;
  readonly hasLeader: boolean;
  /** How many databases are copied, or will be. */
  readonly toCopy: number;
  readonly copies: readonly DatabaseCopy[];
}

export async function readMigrationView(job: WorkerJob): Promise<MigrationView | undefined> {
  const store = await Store.find(job, `${job.migrationName} stand-by`);
  if (!store) return undefined;
  try {
    const record = await readMigration(store, job.migrationName);
    if (!record) return undefined;
    return {
      state: record.state,
      spec: record.spec,
      generation: record.generation,
      startedAt: record.startedAt,
      toCopy: (await readDatabases(store, job.migrationName)).filter(isToBeCopied).length,
      hasLeader: (await leaseHolder(store, job.migrationName)) !== undefined,
      copies: await readSharedCopies(store, job.migrationName),
    };
  } catch (error) {
    // The last migration to be deleted takes the records' schema with it.
    if (sqlStateOf(error) === sqlStates.undefinedTable) return undefined;
    throw error;
  } finally {
    await store.close();
  }
}

/** A leader that was cut off goes on with its copy under the snapshot that another one has held, which has another name. */
const isSame = (one: DatabaseCopy, other: DatabaseCopy): boolean =>
  one.id === other.id && one.generation === other.generation && one.snapshotId === other.snapshotId;

const isToBeCopied = ({ phase, state }: DatabaseRecord): boolean =>
  (phase === "queued" || phase === "copying") && state === "InProgress";

type Say = (sentence: string) => void;

/** One copy that is shared, under one leader. */
interface Share {
  readonly copy: DatabaseCopy;
  readonly abort: AbortController;
  readonly ended: Promise<void>;
}

/**
 * Shares the base copies that another worker leads: copies tables and builds indexes under that one's generation, and
 * keeps the copy's snapshot, so that a successor of a leader that dies can go on under it.
 */
export class CopyHelper {
  readonly #job: WorkerJob;
  readonly #say: Say;
  readonly #shares = new Map<string, Share>();
  readonly #held = new Map<string, Promise<Snapshot | undefined>>();
  readonly #closing = new AbortController();
  #spec: MigrationSpec | undefined;
  #defaultJobs: Parallelism | undefined;
  readonly #tableSlots = new Semaphore(() => this.#spec?.tableJobs ?? this.#defaultJobs?.tableJobs ?? 1);
  readonly #indexSlots = new Semaphore(() => this.#spec?.indexJobs ?? this.#defaultJobs?.indexJobs ?? 1);

  constructor(job: WorkerJob, say: Say) {
    this.#job = job;
    this.#say = say;
  }

  /** Whether it keeps a snapshot, for whoever takes the lead. */
  get holdsSnapshot(): boolean {
    return this.#held.size > 0;
  }

  /** Shares the copies that are seen, and ends what is shared of others. */
  async share(sight: MigrationView): Promise<void> {
    this.#spec = sight.spec;
    const { startedAt, generation } = sight;
    tagSessions(helperName({ migration: this.#job.migrationName, startedAt, generation }));
    const led = sight.copies.filter(({ generation }) => generation === sight.generation);
    const copies = led.filter((copy) => copy.engineVersion === engineVersion);
    if (copies.length < led.length)
      this.#say(`is of version ${engineVersion}, and shares no copy that another version leads`);
    for (const [id, share] of this.#shares)
      if (!copies.some((copy) => isSame(copy, share.copy))) await this.#end(id, share);
    for (const copy of copies) {
      if (!copy.tablesCopied && !this.#held.has(copy.id)) this.#held.set(copy.id, this.#hold(copy));
      if (!this.#shares.has(copy.id)) this.#begin(copy);
    }
  }

  /** Lets go of the snapshots that these copies do not need. */
  async keepSnapshotsOf(copies: readonly DatabaseCopy[]): Promise<void> {
    for (const [id, held] of this.#held) {
      if (copies.some((copy) => copy.id === id && !copy.tablesCopied)) continue;
      this.#held.delete(id);
      await (await held)?.release();
    }
  }

  /** Ends what is shared; what is kept stays. */
  async stopSharing(): Promise<void> {
    for (const [id, share] of this.#shares) await this.#end(id, share);
    tagSessions(undefined);
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.stopSharing();
    await this.keepSnapshotsOf([]);
  }

  async #end(id: string, share: Share): Promise<void> {
    share.abort.abort(new CanceledError("the copy is not shared any more"));
    await share.ended;
    this.#shares.delete(id);
  }

  /** Without it the copy can be shared all the same; only a successor of the leader could not go on. */
  async #hold(copy: DatabaseCopy): Promise<Snapshot | undefined> {
    let snapshot: Snapshot | undefined;
    try {
      const [spec, { signal }] = [this.#spec!, this.#closing];
      snapshot = await holdSnapshot(
        { source: this.#job.source, spec, signal },
        copy.database,
        copy.snapshotId,
        copy.moment,
      );
      if (!snapshot) return undefined;
      const store = await Store.find(this.#job, `${this.#job.migrationName} stand-by`);
      try {
        if (store) await recordSharedSnapshot(store, this.#job.migrationName, copy, snapshot.id);
      } finally {
        await store?.close();
      }
      return snapshot;
    } catch (error) {
      await snapshot?.release();
      this.#say(`the snapshot of ${copy.database} is not kept here: ${messageOf(error)}`);
      return undefined;
    }
  }

  #begin(copy: DatabaseCopy): void {
    const abort = new AbortController();
    const ended = this.#share(copy, abort.signal).catch((error: unknown) => {
      if (abort.signal.aborted || error instanceof TakenOverError) return;
      this.#say(`its share of ${copy.database} has ended: ${messageOf(error)}`);
    });
    this.#shares.set(copy.id, { copy, abort, ended });
  }

  async #share(copy: DatabaseCopy, stop: AbortSignal): Promise<void> {
    for (;;) {
      try {
        await this.#shareOnce(copy, stop);
        return;
      } catch (error) {
        if (stop.aborted || !(error instanceof UnreachableError || isConnectionLoss(error))) throw error;
        this.#say(`sharing ${copy.database} begins anew: ${messageOf(error)}`);
        await sleep(againAfterMs, undefined, { signal: stop });
      }
    }
  }

  /** What is claimed and not done when this ends is taken back by the leader. */
  async #shareOnce(copy: DatabaseCopy, signal: AbortSignal): Promise<void> {
    const membership = await Membership.join(this.#job, this.#job.migrationName);
    try {
      if (membership.generation !== copy.generation) return;
      this.#defaultJobs ??= await defaultJobs(this.#job, this.#spec!);
      const work = this.#workOf(membership, signal);
      const { database } = copy;
      this.#say(`shares the copy of ${database} as ${membership.worker}`);
      const tables = copy.tablesCopied ? [] : await tablesOf(work, copy);
      const options = {
        work,
        database,
        units: new CopyTasks(membership, database, copy.id),
        snapshotId: copy.tablesCopied ? undefined : copy.snapshotId,
        tables,
        context: await contextOf(work, copy),
        signal,
        onFindings: (findings: readonly RestoreFinding[]) => reportFindings(work, database, findings),
      };
      await withStatementCancellation(signal, () => runCopyTasks(options), [
        database,
        targetDatabase(work.spec, database),
      ]);
      this.#say(`has nothing left to do of ${database}`);
    } finally {
      await membership.leave();
    }
  }

  #workOf(membership: Membership, signal: AbortSignal): Work {
    return {
      spec: this.#spec!,
      source: this.#job.source,
      target: this.#job.target,
      journal: new Journal(membership),
      generation: membership.generation,
      signal,
      tableSlots: this.#tableSlots,
      indexSlots: this.#indexSlots,
    };
  }
}

const againAfterMs = 2000;

async function tablesOf(
  { source, spec }: Work,
  { database, snapshotId }: DatabaseCopy,
): Promise<readonly TableToCopy[]> {
  if (spec.schemaOnly) return [];
  const session = await openInSnapshot(source, database, snapshotId, `${spec.migrationName} catalogue`);
  try {
    return await selectedTables(session, spec);
  } finally {
    await session.end();
  }
}

async function contextOf(
  { target, spec, signal }: Work,
  { database, sourceSearchPath, skipped }: DatabaseCopy,
): Promise<RestoreContext> {
  const session = await connect(target, {
    database: targetDatabase(spec, database),
    purpose: `${spec.migrationName} catalogue`,
  });
  try {
    const context = await readRestoreContext(session, { sourceSearchPath, signal });
    for (const [id, reason] of skipped) context.skipped.set(id, reason);
    return context;
  } finally {
    await session.end();
  }
}
