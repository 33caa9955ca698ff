import type { Client } from "pg";
import { initProgress, type SlotIdentity } from "../cdc/progress.js";
import { changeCaptureNames, sourceObjectPrefix } from "../cdc/names.js";
import { createPublications } from "../cdc/publication.js";
import { createSlot } from "../cdc/slot.js";
import { carrySequences } from "../copy/sequences.js";
import { Snapshot } from "../copy/snapshot.js";
import { tableBytes, tablesToCopy, type TableToCopy } from "../copy/tables-to-copy.js";
import { Refused } from "../errors.js";
import { connect } from "../postgres/connect.js";
import { listTables } from "../postgres/tables.js";
import { createTargetDatabase, dropTargetDatabase, readDatabaseProperties } from "../schema/database.js";
import { dumpSchema } from "../schema/dump.js";
import { parseEntries, type Entry } from "../schema/entries.js";
import { summarize, type RestoreFinding } from "../schema/findings.js";
import { refreshMaterializedViews } from "../schema/materialized-views.js";
import { readRestoreContext, readSearchPath, type RestoreContext } from "../schema/restore-context.js";
import { planRestore, type Build, type RelationName, type RestorePlan } from "../schema/restore-plan.js";
import { restoreEntries } from "../schema/restore.js";
import type { DatabaseRecord } from "../store/records.js";
import { Units } from "../store/units.js";
import { compareDatabase } from "./compare.js";
import { copyUnits } from "./copy-units.js";
import { dropSourceObjects } from "./source-objects.js";
import type { Work } from "./work.js";

/** What the base copy leaves for after the last change has been applied. Plain JSON: the store keeps it for a successor. */
export interface Remainder {
  readonly handover: readonly Entry[];
  readonly materializedViews: readonly RelationName[];
  readonly sourceSearchPath: string;
  /** What the stream is asked for. */
  readonly publications: readonly string[];
}

/**
 * Brings schema and rows of one database to the target as they were at one moment; for an online migration, at the
 * beginning of its slot's stream. What an earlier try has left is thrown away first: rows copied under a snapshot that
 * is gone belong to another moment.
 */
export async function copyDatabase(work: Work, record: DatabaseRecord): Promise<Remainder> {
  const copy = new BaseCopy(work, record);
  return copy.run();
}

class BaseCopy {
  readonly #name: string;
  #publications: readonly string[] = [];

  constructor(
    readonly work: Work,
    readonly record: DatabaseRecord,
  ) {
    this.#name = record.name;
  }

  async run(): Promise<Remainder> {
    const { journal } = this.work;
    await this.#removeEarlierTry();
    await journal.database(this.#name, { phase: "copying", state: "InProgress", message: "creating the database" });
    await this.#createDatabase();
    const { snapshot, slot } = await this.#takeSnapshot();
    try {
      const signal = AbortSignal.any([this.work.signal, snapshot.lost]);
      return await this.#fill(snapshot, slot, signal);
    } finally {
      await snapshot.release();
    }
  }

  async #fill(snapshot: Snapshot, slot: SlotIdentity | undefined, signal: AbortSignal): Promise<Remainder> {
    const { journal } = this.work;
    const target = await this.#connectTarget("restore");
    const source = await connect(this.work.source, { database: this.#name, purpose: this.#purpose("read") });
    try {
      await journal.database(this.#name, { message: "reading the schema" });
      const plan = await this.#dump(snapshot.id, signal);
      const sourceSearchPath = await readSearchPath(source);
      const context = await readRestoreContext(target, { sourceSearchPath, signal });
      await this.#restore(target, plan.before, context);
      await journal.database(this.#name, { message: "copying tables" });
      const tables = await tablesToCopy(source);
      await snapshot.lockTables(tables.map(({ table }) => table));
      const units = await this.#queue(tables, plan.builds);
      await copyUnits({
        work: this.work,
        database: this.#name,
        units,
        snapshot,
        tables,
        builds: plan.builds,
        context,
        signal,
        onTablesCopied: () => this.#compare(snapshot, slot, signal),
        onFindings: (findings) => this.#report(findings),
      });
      await this.#finish(source, target, plan, context, slot);
      const { handover, materializedViews } = plan;
      return { handover, materializedViews, sourceSearchPath, publications: this.#publications };
    } finally {
      await Promise.all([target.end(), source.end()]);
    }
  }

  /** An online migration is compared at its cutover, at just that moment. */
  async #compare(snapshot: Snapshot, slot: SlotIdentity | undefined, signal: AbortSignal): Promise<void> {
    if (slot !== undefined) return;
    await this.work.journal.database(this.#name, { message: "comparing rows, building indexes" });
    await compareDatabase(this.work, { database: this.#name, snapshotId: snapshot.id, signal, followedOnly: false });
  }

  async #finish(
    source: Client,
    target: Client,
    plan: RestorePlan,
    context: RestoreContext,
    slot: SlotIdentity | undefined,
  ): Promise<void> {
    const { journal } = this.work;
    await journal.database(this.#name, { message: "foreign keys, triggers and privileges" });
    await this.#restore(target, plan.after, context);
    await carrySequences(source, target);
    await journal.database(this.#name, { message: "materialized views" });
    await this.#report(await refreshMaterializedViews(source, target, plan.materializedViews, context));
    await journal.database(this.#name, { message: "statistics" });
    await target.query("ANALYZE");
    if (slot) await initProgress(target, this.work.wish.migrationName, this.work.generation, slot);
    else await this.#restore(target, plan.handover, context);
  }

  async #removeEarlierTry(): Promise<void> {
    const { journal, source, wish } = this.work;
    if (this.record.slot === undefined && this.record.publications.length === 0) return;
    await dropSourceObjects(source, wish.migrationName, this.#name);
    await journal.database(this.#name, { slot: null, publications: [] });
  }

  async #createDatabase(): Promise<void> {
    const { journal, wish, source, target } = this.work;
    const maintenance = await connect(target, { database: wish.maintenanceDatabase, purpose: this.#purpose("create") });
    const from = await connect(source, { database: this.#name, purpose: this.#purpose("properties") });
    try {
      const { rowCount } = await maintenance.query("SELECT FROM pg_database WHERE datname = $1", [this.#name]);
      if (rowCount !== 0) {
        if (!this.record.createdByUs && !wish.overwriteDbsInTarget)
          throw new Refused(`the database ${this.#name} exists on the target already`, {
            code: "603101",
            remedy: "set overwriteDbsInTarget to true to replace it, or drop it on the target",
          });
        await journal.event(`dropping the database ${this.#name} on the target`, { database: this.#name });
        await dropTargetDatabase(maintenance, this.#name);
      }
      await journal.database(this.#name, { createdByUs: true });
      await this.#report(await createTargetDatabase(maintenance, this.#name, await readDatabaseProperties(from)));
    } finally {
      await Promise.all([maintenance.end(), from.end()]);
    }
  }

  /** The moment to copy: for an online migration the one at which its slot's stream begins. */
  async #takeSnapshot(): Promise<{ snapshot: Snapshot; slot?: SlotIdentity }> {
    const { source, wish, journal, signal } = this.work;
    if (wish.migrationMode === "Offline") return { snapshot: await Snapshot.export(source, this.#name) };
    const names = changeCaptureNames(wish.migrationName, this.#name);
    await journal.database(this.#name, {
      message: "creating publication and slot",
      slot: names.slot,
      publications: [names.publication, names.insertOnlyPublication],
    });
    await this.#publish();
    let said = "";
    const slot = await createSlot({
      source,
      database: this.#name,
      slot: names.slot,
      plugin: "pgoutput",
      signal,
      onWaiting: (sessions) => {
        const waiting = `waiting for older transactions on the source: ${sessions.map((one) => (one.pid === undefined ? `prepared ${one.preparedAs ?? ""}` : `session ${one.pid} (${one.applicationName ?? ""})`)).join(", ")}`;
        if (waiting === said) return;
        said = waiting;
        void journal.database(this.#name, { message: waiting }).catch(() => undefined);
      },
    });
    try {
      return { snapshot: await Snapshot.hold(source, this.#name, slot.snapshotId), slot };
    } finally {
      await slot.release();
    }
  }

  async #publish(): Promise<void> {
    const { source, wish } = this.work;
    const client = await connect(source, { database: this.#name, purpose: this.#purpose("publish") });
    try {
      const tables = (await listTables(client)).filter((table) => !table.extensionConfiguration);
      const names = changeCaptureNames(wish.migrationName, this.#name);
      const { publications } = await createPublications(client, names, tables);
      this.#publications = publications;
    } finally {
      await client.end();
    }
  }

  async #dump(snapshotId: string, signal: AbortSignal): Promise<RestorePlan> {
    const { text, tool } = await dumpSchema(this.work.source, this.#name, { snapshot: snapshotId, signal });
    const entries = parseEntries(text);
    await this.work.journal.event(`${entries.length} schema entries read by ${tool}`, { database: this.#name });
    return planRestore(entries.filter((entry) => !isOwnPublication(entry)));
  }

  async #queue(tables: readonly TableToCopy[], builds: readonly Build[]): Promise<Units> {
    const units = new Units(this.work.journal.lease, this.#name);
    await units.replace([
      ...tables.map(({ table }) => ({
        kind: "table" as const,
        schema: table.schema,
        table: table.name,
        entry: table.name,
        bytesTotal: tableBytes(table),
        rowsEstimated: Math.max(0, Math.round(table.estimatedRows)),
      })),
      ...builds.map(({ entry, table }) => ({
        kind: "index" as const,
        schema: table.schema,
        table: table.name,
        entry: entry.name,
        bytesTotal: 0,
        rowsEstimated: 0,
      })),
    ]);
    return units;
  }

  async #restore(target: Client, entries: readonly Entry[], context: RestoreContext): Promise<void> {
    await this.#report(await restoreEntries(target, entries, context));
  }

  async #report(findings: readonly RestoreFinding[]): Promise<void> {
    await reportFindings(this.work, this.#name, findings);
  }

  async #connectTarget(purpose: string): Promise<Client> {
    return connect(this.work.target, { database: this.#name, purpose: this.#purpose(purpose) });
  }

  #purpose(what: string): string {
    return `${this.work.wish.migrationName} ${what}`;
  }
}

/** What migrations publish on the source for themselves is no part of the database. */
const isOwnPublication = ({ type, name }: Entry): boolean =>
  type.startsWith("PUBLICATION") && name.startsWith(sourceObjectPrefix);

/** Puts what could not be carried over, or not as it was, among the findings. It does not stop a migration. */
export async function reportFindings(work: Work, database: string, findings: readonly RestoreFinding[]): Promise<void> {
  await work.journal.findings(
    summarize(findings).map((finding) => ({
      database,
      type: "SchemaValidation",
      state: "Warning",
      object: `${finding.objectType} ${finding.object}`,
      objectType: "Database",
      message: finding.message,
      remedy: finding.remedy,
    })),
  );
}
