import { createHash } from "node:crypto";
import { usualMaintenanceDatabase } from "../../inputs/maintenance-database.js";

/** The names of the objects that a migration creates on a source server. */
export interface ChangeCaptureNames {
  readonly slot: string;
  /** Publishes every kind of change of the tables with a replica identity. */
  readonly publication: string;
  /** Publishes inserts and truncations of the tables without a replica identity. */
  readonly insertOnlyPublication: string;
}

const insertOnlySuffix = "_ins";
const pointSuffix = "_point";

/** The prefix of every slot and publication that a migration creates. */
export const sourceObjectPrefix = "pg_migration_";

/**
 * Identifies a migration. Its name is unique only among the records in one maintenance database of its target, and one
 * source may have several targets.
 */
export interface MigrationIdentity {
  readonly migrationName: string;
  readonly target: { readonly host: string; readonly port: number };
  readonly maintenanceDatabase: string;
}

/** What the digests of a migration's names are made of. Names of migrations that are running must never change. */
const identifying = ({ migrationName, target, maintenanceDatabase }: MigrationIdentity): readonly unknown[] => [
  ...[migrationName, target.host, target.port],
  ...(maintenanceDatabase === usualMaintenanceDatabase ? [] : [{ maintenanceDatabase }]),
];

const digestOf = (parts: readonly unknown[]): string =>
  createHash("sha256").update(JSON.stringify(parts)).digest("hex").slice(0, 10);

/**
 * The names for one database of one migration. They are the same on every call and machine, and differ between migrations
 * and databases. A slot's name consists of at most 63 lower-case letters, digits and underscores (manual, "Querying and
 * Manipulating Replication Slots"). A digest therefore replaces what the readable part cannot contain.
 */
export function changeCaptureNames(migration: MigrationIdentity, database: string): ChangeCaptureNames {
  const digest = digestOf([...identifying(migration), database]);
  return streamNames(
    `${sourceObjectPrefix}${readable(migration.migrationName, 18)}_${readable(database, 14)}_${digest}`,
  );
}

const streamNames = (name: string): ChangeCaptureNames => ({
  slot: name,
  publication: name,
  insertOnlyPublication: name + insertOnlySuffix,
});

/** The names of the stream that a recorded slot or publication belongs to; undefined if none is recorded. */
export function recordedCaptureNames(objects: readonly (string | undefined)[]): ChangeCaptureNames | undefined {
  const object = objects.find((one) => one?.startsWith(sourceObjectPrefix));
  return object === undefined ? undefined : streamNames(streamOf(object));
}

/** The slot that exists while a snapshot is taken at one LSN of the stream. */
export const pointSlot = ({ slot }: ChangeCaptureNames): string => slot + pointSuffix;

/** The suffix of a slot that is read with SQL, without a walsender. */
export const readerSuffix = "_read";

/** The temporary copy of a stream's slot from which a backlog is read. */
export const readerSlot = (slot: string): string => slot + readerSuffix;

/** The name of the stream that a slot or publication belongs to. It ends with a digest, not with a suffix. */
export function streamOf(object: string): string {
  const suffix = [insertOnlySuffix, pointSuffix, readerSuffix].find((one) => object.endsWith(one)) ?? "";
  return object.slice(0, object.length - suffix.length);
}

/** The names on the target for the rollback replication. On the source, its progress has the name {@link rollbackProgress}. */
export function rollbackNames(migration: MigrationIdentity, database: string): ChangeCaptureNames {
  const digest = digestOf(["rollback", ...identifying(migration), database]);
  const name = `${sourceObjectPrefix}back_${readable(migration.migrationName, 16)}_${readable(database, 11)}_${digest}`;
  return streamNames(name);
}

/** The name of the rollback replication's progress on the source. It is unique, because a migration's name has no spaces. */
export const rollbackProgress = (migrationName: string): string => migrationName + rollbackSuffix;

export const isRollbackProgress = (name: string): boolean => name.endsWith(rollbackSuffix);

const rollbackSuffix = " (rollback)";

const readable = (text: string, length: number): string =>
  text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "_")
    .slice(0, length)
    .replace(/^_+|_+$/g, "");
