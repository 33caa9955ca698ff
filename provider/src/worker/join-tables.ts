import type { Follower } from "../cdc/follower.js";
import { changeCaptureNames, pointSlot } from "../cdc/model/names.js";
import { createPublications } from "../cdc/source/publication.js";
import { openTargetSession } from "../cdc/target/target-session.js";
import { copyFormat } from "../copy/format.js";
import { copyTable } from "../copy/copy-table.js";
import { lockedSnapshot, openInSnapshot } from "../copy/snapshot.js";
import { comparisonSnapshot } from "../cutover/comparison-snapshot.js";
import { qualify } from "../postgres/identifiers.js";
import { serverVersion } from "../postgres/server-version.js";
import { useSearchPath } from "../postgres/search-path.js";
import { type Table, listSizedTables, listTables } from "../postgres/tables.js";
import { targetDatabase } from "../inputs/target-database.js";
import { insertOnlyFinding } from "./schema-sync/insert-only-finding.js";
import { type NewObjects, type Restored, restoreMissing } from "./schema-sync/new-objects.js";
import type { SourceMark } from "./schema-diff/schema-baseline.js";
import { lockOptions, markOf } from "./initial-copy/take-snapshot.js";

/**
 * Brings tables that were made or replaced on the source while it is followed to the target. They are published, a
 * point of the source's history is taken, everything up to it is applied but these tables' changes, and they are copied
 * as they were at the point: from there on the stream has all of theirs. Begun anew after a failure, it replaces what
 * was copied.
 *
 * Tables that have outlived their shape come to it as well: without them it only passes what the stream tells of them.
 *
 * @param tables those in scope of the source, to be published
 * @param bridge starts a follower that leaves the new tables out; it is held before anything is applied
 */
export async function joinTables(
  objects: NewObjects,
  tables: readonly Table[],
  newTables: readonly Table[],
  bridge: () => Follower,
): Promise<Restored & { readonly mark: SourceMark }> {
  const { work, database } = objects;
  const follower = bridge();
  try {
    const names = changeCaptureNames(work.wish, database);
    const [published] = await Promise.all([
      createPublications(objects.source, names, tables, { keyless: work.wish.keylessTables }),
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
      () => Promise.resolve(newTables),
      () => Promise.resolve(),
      lockOptions(work, database),
    );
    try {
      await follower.drainTo(lsn);
      await follower.stop();
      const mark = await markOf(work, database, snapshot.id);
      const restored = await restoreMissing(objects, {
        snapshot: snapshot.id,
        copy: () => copyTables(objects, newTables, snapshot.id),
      });
      return { ...restored, mark };
    } finally {
      await snapshot.release();
    }
  } finally {
    await follower.stop();
  }
}

const nameOfTable = ({ schema, name }: Table): string => qualify(schema, name);

async function copyTables(
  { work, database, sourceSearchPath, keepsBackFiring }: NewObjects,
  newTables: readonly Table[],
  snapshotId: string,
): Promise<void> {
  const session = await openTargetSession(work.target, targetDatabase(work.wish, database), {
    firesNothing: keepsBackFiring,
  });
  try {
    const twins = new Map((await listTables(session)).map((table) => [nameOfTable(table), table]));
    await useSearchPath(session, sourceSearchPath);
    const names = new Set(newTables.map(nameOfTable));
    const catalogue = await openInSnapshot(work.source, database, snapshotId, `${work.wish.migrationName} join`);
    const sized = await listSizedTables(catalogue).finally(() => catalogue.end());
    for (const table of sized.filter((one) => !one.partitioned && names.has(nameOfTable(one)))) {
      // Each in a session of its own: an error ends the transaction that sees the snapshot.
      const source = await openInSnapshot(work.source, database, snapshotId, `${work.wish.migrationName} join`);
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
