import { randomUUID } from "node:crypto";
import type { Client } from "pg";
import type { Snapshot } from "../../copy/snapshot.js";
import { engineVersion } from "../../engine-version.js";
import { connect } from "../../postgres/connection/connect.js";
import type { RestorePlan } from "../../schema/plan/restore-plan.js";
import type { Selection } from "../../schema/plan/selection.js";
import type { RestoreContext } from "../../schema/restore/restore-context.js";
import type { CopyTasks } from "../../store/copy-tasks/copy-tasks.js";
import type { DatabaseRecord } from "../../store/records.js";
import type { SharedCopy } from "../../store/shared-copies.js";
import type { Work } from "../context/work.js";
import type { CopyPoint } from "./take-snapshot.js";

/** One database's copy by the worker that leads it, before its sessions are open. */
export interface CopyJob {
  readonly work: Work;
  readonly record: DatabaseRecord;
  /** Name of the database on the source. */
  readonly database: string;
  readonly tasks: CopyTasks;
  readonly sharing: CopySharing;
}

/** Everything that the steps of one copy use. */
export interface CopyContext extends CopyJob, Omit<CopyPoint, "snapshot"> {
  /** Undefined if an earlier worker copied all rows. */
  readonly snapshot: Snapshot | undefined;
  /** Sessions in the source and in the target database. */
  readonly source: Client;
  readonly target: Client;
  readonly selection: Selection;
  readonly plan: RestorePlan;
  readonly restore: RestoreContext;
  readonly signal: AbortSignal;
}

/** The record from which other workers share a copy, and from which a successor resumes it. */
export class CopySharing {
  #shared: SharedCopy | undefined;

  constructor(
    readonly work: Work,
    readonly database: string,
  ) {}

  get areLargeObjectsCopied(): boolean {
    return this.#shared?.largeObjectsCopied === true;
  }

  /** Records a new copy. Other workers may share it from here on. */
  begin(
    copy: Pick<SharedCopy, "snapshotId" | "txidSnapshot" | "sourceSearchPath" | "skipped">,
    copyState: unknown,
  ): Promise<void> {
    const { generation } = this.work;
    const shared = { ...copy, id: randomUUID(), generation, engineVersion };
    return this.#write({ ...shared, largeObjectsCopied: false, rowsCopied: false, tablesCopied: false }, copyState);
  }

  /** Takes over the copy of an earlier worker. */
  resume(shared: SharedCopy, copyState?: unknown): Promise<void> {
    return this.#write({ ...shared, generation: this.work.generation }, copyState);
  }

  async update(
    progress: Partial<Pick<SharedCopy, "largeObjectsCopied" | "rowsCopied" | "tablesCopied">>,
  ): Promise<void> {
    if (this.#shared) await this.#write({ ...this.#shared, ...progress });
  }

  async #write(shared: SharedCopy, copyState?: unknown): Promise<void> {
    this.#shared = shared;
    await this.work.journal.database(this.database, { sharedCopy: shared, copyState });
  }
}

/** Purpose of a session, part of its application_name. */
export const purposeOf = ({ spec }: Work, what: string): string => `${spec.migrationName} ${what}`;

export const connectToTarget = ({ work, record }: CopyJob, what: string): Promise<Client> =>
  connect(work.target, { database: record.targetName, purpose: purposeOf(work, what) });
