import { ConcurrentChangeError } from "../../errors.js";
import type { Follower } from "../../cdc/follower.js";
import { changeCaptureNames, pointSlot } from "../../cdc/model/names.js";
import { createPublications } from "../../cdc/source/publication.js";
import { openTargetSession } from "../../cdc/target/target-session.js";
import { copyFormat } from "../../copy/format.js";
import { copyTable } from "../../copy/copy-table.js";
import { lockedSnapshot, openInSnapshot } from "../../copy/snapshot.js";
import { comparisonSnapshot } from "../../cutover/comparison-snapshot.js";
import { qualify } from "../../postgres/identifiers.js";
import { serverVersion } from "../../postgres/server-version.js";
import { useSearchPath } from "../../postgres/search-path.js";
import { type Table, listSizedTables, listTables } from "../../postgres/tables.js";
import { targetDatabase } from "../../inputs/target-database.js";
import { insertOnlyFinding } from "./insert-only-finding.js";
import type { Restored } from "../followers/stream-state.js";
import { type NewObjects, restoreMissing } from "./new-objects.js";
import type { SchemaBaseline } from "../schema-diff/schema-baseline.js";
import { lockOptions, baselineOf } from "../initial-copy/take-snapshot.js";

export interface TablesToAdd {
  /** The source's tables in scope, to be published. */
  readonly tables: readonly Table[];
  /** Those to copy. Empty where the follower only passes the changes of tables that are gone. */
  readonly newTables: readonly Table[];
  /** Starts a follower that skips the new tables. It is held before it applies anything. */
  readonly bridge: () => Follower;
  /** Called when the new tables are on the target, before their rows are copied. */
  readonly onCreated: () => Promise<void>;
}

/**
 * Adds tables that were created or replaced on the source to a running stream:
 *
 * 1. publishes them,
 * 2. takes a snapshot at an LSN of the source,
 * 3. applies all changes of the other tables up to that LSN,
 * 4. copies the new tables under the snapshot. From that LSN on the stream has all of their changes.
 *
 * A repetition after a failure replaces the rows that were copied.
 *
 * @throws ConcurrentChangeError when a new table is dropped, renamed or replaced before it is locked
 */
export async function addTablesToStream(
  objects: NewObjects,
  { tables, newTables, bridge, onCreated }: TablesToAdd,
): Promise<Restored & { readonly mark: SchemaBaseline }> {
  const { work, database } = objects;
  const follower = bridge();
  try {
    const names = changeCaptureNames(work.spec, database);
    const [published] = await Promise.all([
      createPublications(objects.source, names, tables, { keyless: work.spec.keylessTables }),
      follower.hold(),
    ]);
    const isNew = new Set(newTables.map(nameOfTable));
    const insertOnly = published.insertOnlyTables.filter(
      (table) => !table.partitioned && isNew.has(nameOfTable(table)),
    );
    if (insertOnly.length > 0) await work.journal.findings([insertOnlyFinding(database, insertOnly)]);
    const { snapshot, lsn } = await lockedSnapshot(
      () =>
        comparisonSnapshot({
          source: work.source,
          database,
          slot: pointSlot(names),
          plugin: objects.plugin,
          signal: work.signal,
        }),
      async () => {
        await requirePresent(objects, newTables);
        return newTables;
      },
      () => Promise.resolve(),
      lockOptions(work, database),
    );
    try {
      await follower.drainTo(lsn);
      await follower.stop();
      const mark = await baselineOf(work, database, snapshot.id);
      const restored = await restoreMissing(objects, {
        snapshot: snapshot.id,
        copy: async () => {
          await onCreated();
          await copyTables(objects, newTables, snapshot.id);
        },
      });
      return { ...restored, mark };
    } finally {
      await snapshot.release();
    }
  } finally {
    await follower.stop();
  }
}

/** @throws ConcurrentChangeError when a table is no longer on the source under its name: it is compared again then */
async function requirePresent({ source, database }: NewObjects, tables: readonly Table[]): Promise<void> {
  const present = new Set((await listTables(source)).map((table) => `${table.oid} ${nameOfTable(table)}`));
  const missing = tables.filter((table) => !present.has(`${table.oid} ${nameOfTable(table)}`));
  if (missing.length === 0) return;
  throw new ConcurrentChangeError(
    `${missing.map(nameOfTable).join(", ")} of ${database} was dropped, renamed or replaced on the source before it was copied`,
    { remedy: "none needed: the schema is compared again" },
  );
}

const nameOfTable = ({ schema, name }: Table): string => qualify(schema, name);

async function copyTables(
  { work, database, sourceSearchPath, deferTriggersAndForeignKeys }: NewObjects,
  newTables: readonly Table[],
  snapshotId: string,
): Promise<void> {
  const session = await openTargetSession(work.target, targetDatabase(work.spec, database), {
    triggersDisabled: deferTriggersAndForeignKeys,
  });
  try {
    const twins = new Map((await listTables(session)).map((table) => [nameOfTable(table), table]));
    await useSearchPath(session, sourceSearchPath);
    const names = new Set(newTables.map(nameOfTable));
    const catalogue = await openInSnapshot(work.source, database, snapshotId, `${work.spec.migrationName} join`);
    const sized = await listSizedTables(catalogue).finally(() => catalogue.end());
    for (const table of sized.filter((one) => !one.partitioned && names.has(nameOfTable(one)))) {
      // Each in a session of its own: an error ends the transaction that sees the snapshot.
      const source = await openInSnapshot(work.source, database, snapshotId, `${work.spec.migrationName} join`);
      try {
        await useSearchPath(source, sourceSearchPath);
        const twin = twins.get(nameOfTable(table))!;
        const format = copyFormat(table, twin, await serverVersion(source), await serverVersion(session));
        await copyTable({ source, target: session, table, format, signal: work.signal });
      } finally {
        await source.end();
      }
    }
  } finally {
    await session.end();
  }
}
