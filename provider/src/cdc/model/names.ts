import { createHash } from "node:crypto";

/** What a migration creates on a source server, by name. */
export interface ChangeCaptureNames {
  readonly slot: string;
  /** Publishes every kind of change of the tables whose rows have an identity. */
  readonly publication: string;
  /** Publishes inserts and truncations of the tables whose rows have none. */
  readonly insertOnlyPublication: string;
}

/** What every slot and publication of ours begins with. */
export const sourceObjectPrefix = "pg_migration_";

/** Which migration: its name is unique on its target only, and several targets may be filled from one source. */
export interface MigrationIdentity {
  readonly migrationName: string;
  readonly target: { readonly host: string; readonly port: number };
}

/**
 * The names for one database of one migration: the same on every call and every machine, and distinct for distinct
 * migrations and databases. A slot's name may hold lower-case letters, digits and underscores only, at most 63 of them
 * (manual, "Querying and Manipulating Replication Slots"), so a digest stands for what the readable part loses.
 */
export function changeCaptureNames({ migrationName, target }: MigrationIdentity, database: string): ChangeCaptureNames {
  const digest = createHash("sha256")
    .update(JSON.stringify([migrationName, target.host, target.port, database]))
    .digest("hex")
    .slice(0, 10);
  const name = `${sourceObjectPrefix}${readable(migrationName, 18)}_${readable(database, 14)}_${digest}`;
  return { slot: name, publication: name, insertOnlyPublication: `${name}_ins` };
}

/** The slot that is there for as long as a snapshot is taken at one point of the stream. */
export const pointSlot = ({ slot }: ChangeCaptureNames): string => `${slot}_point`;

/** What the name of a slot ends with that SQL reads, without a walsender. */
export const readerSuffix = "_read";

/** The temporary copy of a stream's slot by which a backlog is read. */
export const readerSlot = (slot: string): string => slot + readerSuffix;

/** Of the stream back, on the target: what it is applied under on the source is {@link rollbackProgress}. */
export function rollbackNames({ migrationName, target }: MigrationIdentity, database: string): ChangeCaptureNames {
  const digest = createHash("sha256")
    .update(JSON.stringify(["way back", migrationName, target.host, target.port, database]))
    .digest("hex")
    .slice(0, 10);
  const name = `${sourceObjectPrefix}back_${readable(migrationName, 16)}_${readable(database, 11)}_${digest}`;
  return { slot: name, publication: name, insertOnlyPublication: `${name}_ins` };
}

/** Under this name the progress of the stream back stands on the source: a migration's own name has no spaces. */
export const rollbackProgress = (migrationName: string): string => `${migrationName} (way back)`;

const readable = (text: string, length: number): string =>
  text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "_")
    .slice(0, length)
    .replace(/^_+|_+$/g, "");
