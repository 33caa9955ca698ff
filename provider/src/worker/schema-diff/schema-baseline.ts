import { userSchemas } from "../../postgres/catalogue-filters.js";
import { isDeepStrictEqual } from "node:util";
import type { Client } from "pg";
import type { ChangeCaptureNames } from "../../cdc/model/names.js";
import { hasPublications, publishesGenerated } from "../../cdc/source/publication.js";
import { copyAgain } from "../../cdc/source/slot-identity.js";
import { RefusedError } from "../../errors.js";
import { qualify, quoteLiteral } from "../../postgres/identifiers.js";
import { serverVersion } from "../../postgres/server-version.js";
import { readCatalogueVersion } from "../../schema/catalogue/catalogue-version.js";
import {
  type Definitions,
  digestsOf,
  type ObjectKeys,
  objectKeysOf,
  readDefinitions,
} from "../../schema/catalogue/definitions.js";
import { type ObjectSettings, readObjectSettings, settingDigestsOf } from "../../schema/catalogue/object-settings.js";
import { type Bounds, readBounds } from "./inheritance-drift.js";
import { type Defaults, readDefaults, withRecomputedKeys } from "./deferred-columns.js";
import { readSchemaNames, type SchemaNames } from "./renamed-schemas.js";
import { readRules, type Rules } from "./rule-drift.js";
import { readTypeMarks, type TypeMarks } from "./type-drift.js";
import { readTypeParts, type TypeParts, omitParts } from "./type-parts.js";

/**
 * The source's schema at one moment. It shows later whether the stream contained every change of every table since. OIDs rise,
 * so an object with a higher OID than `highestOid` is newer than the baseline.
 */
export interface SchemaBaseline {
  /** OIDs of the publications, and the versions of their options. */
  readonly publications: string;
  readonly highestOid: number;
  readonly columns?: ColumnOrdinals;
  readonly forms?: TableStorage;
  /** Functions, views and similar objects when they were last applied to the target. */
  readonly definitions?: Definitions;
  /** The names of these objects when they were last applied to the target. */
  readonly objectKeys?: ObjectKeys;
  /** Settings of objects when they were last applied to the target. */
  readonly settings?: ObjectSettings;
  /** {@link readCatalogueVersion} at the time of the newest dump. */
  readonly catalogues?: string;
  readonly names?: TableNames;
  readonly keys?: TableKeys;
  readonly parts?: TypeParts;
  readonly given?: ObservedSchema;
}

/** Schemas, types, rules, partition bounds and defaults of the source when they were last applied to the target. */
export interface ObservedSchema {
  readonly schemas: SchemaNames;
  readonly types: TypeMarks;
  readonly rules: Rules;
  readonly bounds: Bounds;
  readonly defaults: Defaults;
}

/** The name of each table, qualified and quoted, by its OID. Includes partitioned tables. */
export type TableNames = Readonly<Record<string, string>>;

/** The OID of the primary key's constraint, and whether the replica identity is FULL, by the table's OID. */
export type TableKeys = Readonly<Record<string, { readonly key: number | null; readonly isFull: boolean }>>;

/** The file of each table's rows, and the versions of its columns in the catalogue, by the table's OID. */
export type TableStorage = Readonly<Record<string, { readonly file: number; readonly columns: readonly string[] }>>;

/**
 * The column names of each table, by the table's OID. The index is the attribute number minus one; dropped columns are null.
 * Attribute numbers are never reused, so a column that was replaced under the same name is detected.
 */
export type ColumnOrdinals = Readonly<Record<string, readonly (string | null)[]>>;

/** The publications were changed by another session: changes are missing in the stream, and remain missing. */
export class PublicationAltered extends RefusedError {}

/** Read this in the snapshot of a copy, so that baseline and copy show the same moment. */
export async function readSchemaBaseline(source: Client, names: ChangeCaptureNames): Promise<SchemaBaseline> {
  const published = (await hasPublications(source)) ? ", (SELECT max(oid::int8) FROM pg_publication_rel)" : "";
  const { rows } = await source.query<{ highest: string }>(
    `SELECT greatest((SELECT max(greatest(oid, relfilenode)::int8) FROM pg_class)${published}) AS highest`,
  );
  const defined = await readDefinitions(source);
  return {
    publications: await publicationVersions(source, names),
    highestOid: Number(rows[0]!.highest),
    definitions: digestsOf(defined),
    objectKeys: objectKeysOf(defined),
    settings: settingDigestsOf(await readObjectSettings(source)),
    catalogues: await readCatalogueVersion(source),
    ...(await readTables(source)),
    given: await readObservedSchema(source),
  };
}

/** The part of a baseline that describes tables. */
export async function readTables(
  source: Client,
): Promise<Required<Pick<SchemaBaseline, "columns" | "forms" | "names" | "keys" | "parts">>> {
  return {
    columns: await readColumnOrdinals(source),
    forms: await readTableStorage(source),
    names: await readTableNames(source),
    keys: await readTableKeys(source),
    parts: await readTypeParts(source),
  };
}

export async function readObservedSchema(source: Client): Promise<ObservedSchema> {
  return {
    schemas: await readSchemaNames(source),
    types: await readTypeMarks(source),
    rules: await readRules(source),
    bounds: await readBounds(source),
    defaults: await readDefaults(source),
  };
}

/** Adds schemas, types and rules under new names, which the target was just given. Older ones may still have to be applied to it. */
export function withNewObjects(before: ObservedSchema, now: ObservedSchema): ObservedSchema {
  const merged = <One>(
    known: Readonly<Record<string, One>>,
    present: Readonly<Record<string, One>>,
    keyOf: (one: One) => unknown,
  ) => {
    const taken = new Set(Object.values(known).map((one) => JSON.stringify(keyOf(one))));
    const isNew = ([, one]: [string, One]): boolean => !taken.has(JSON.stringify(keyOf(one)));
    return { ...Object.fromEntries(Object.entries(present).filter(isNew)), ...known };
  };
  return {
    ...before,
    schemas: merged(before.schemas, now.schemas, (name) => name),
    types: merged(before.types, now.types, ({ schema, name }) => [schema, name]),
    rules: merged(before.rules, now.rules, ({ kind, schema, of, name }) => [kind === "domain", schema, of, name]),
  };
}

/** Whether the source's schema is still as recorded. A difference is then due to a change of the target. */
export function isAsRecorded(
  now: Pick<SchemaBaseline, "columns" | "forms" | "names" | "parts" | "given">,
  mark: SchemaBaseline,
): boolean {
  // The file of a table also changes without a change of its columns.
  const comparable = ({ columns, names, parts, given, forms = {} }: typeof now): unknown => ({
    ...{ columns, names, parts, given },
    versions: Object.entries(forms).map(([oid, { columns: versions }]) => [oid, versions]),
  });
  return isDeepStrictEqual(comparable(now), comparable(mark));
}

async function readTableNames(source: Client): Promise<TableNames> {
  const { rows } = await source.query<{ oid: string; schema: string; name: string }>(
    `SELECT c.oid::text AS oid, n.nspname AS schema, c.relname AS name
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
        AND ${userSchemas("n")}`,
  );
  return Object.fromEntries(rows.map(({ oid, schema, name }) => [oid, qualify(schema, name)]));
}

const followedTables = `
  c.relkind = 'r' AND c.relpersistence = 'p' AND ${userSchemas("n")}`;

/**
 * ALTER TABLE rewrites rows for a new type, for a USING clause, and for a column with a volatile default. The stream does not
 * contain these rows. Such a rewrite changes the table's file and a column's version. VACUUM FULL, CLUSTER and TRUNCATE only
 * change the file.
 */
export async function readTableStorage(source: Client): Promise<TableStorage> {
  const isComputed = (await serverVersion(source)) >= 120000 ? "a.attgenerated <> ''" : "false";
  const { rows } = await source.query<{ forms: TableStorage | null }>(
    `SELECT json_object_agg(oid, json_build_object('file', file, 'columns', columns)) AS forms
       FROM (SELECT c.oid::text AS oid, c.relfilenode::int8 AS file,
                    -- The target computes generated columns itself.
                    json_agg(CASE WHEN ${isComputed} OR a.attisdropped THEN '' ELSE a.xmin::text END ORDER BY a.attnum) AS columns
               FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
              WHERE ${followedTables} AND a.attnum > 0
              GROUP BY c.oid, c.relfilenode) AS tables`,
  );
  return rows[0]!.forms ?? {};
}

async function readTableKeys(source: Client): Promise<TableKeys> {
  const { rows } = await source.query<{ keys: TableKeys | null }>(
    `SELECT json_object_agg(c.oid::text, json_build_object('key', k.oid::int8, 'isFull', c.relreplident = 'f')) AS keys
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
       LEFT JOIN pg_constraint k ON k.conrelid = c.oid AND k.contype = 'p'
      WHERE ${followedTables} AND (k.oid IS NOT NULL OR c.relreplident = 'f')`,
  );
  return rows[0]!.keys ?? {};
}

/** A number that changes when the file of any table changes. Much cheaper than reading all tables. */
export async function sumOfFiles(source: Client): Promise<string> {
  const { rows } = await source.query<{ sum: string }>(
    `SELECT coalesce(sum(c.relfilenode::int8), 0)::text AS sum
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE ${followedTables}`,
  );
  return rows[0]!.sum;
}

/**
 * Updates the files of tables with unchanged columns. Their new files are due to VACUUM FULL, CLUSTER or TRUNCATE, which lose
 * no changes of the stream. Otherwise a column that is added later would look like the cause of the rewrite.
 */
export function withPresentFiles(known: TableStorage, present: TableStorage): TableStorage {
  const isSame = (oid: string): boolean => isDeepStrictEqual(known[oid]!.columns, present[oid]?.columns);
  return Object.fromEntries(Object.keys(known).map((oid) => [oid, isSame(oid) ? present[oid]! : known[oid]!]));
}

export async function readColumnOrdinals(source: Client): Promise<ColumnOrdinals> {
  const { rows } = await source.query<{ places: ColumnOrdinals | null }>(
    `SELECT json_object_agg(oid, names) AS places
       FROM (SELECT c.oid::text AS oid, json_agg(CASE WHEN NOT a.attisdropped THEN a.attname END ORDER BY a.attnum) AS names
               FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
              WHERE (${followedTables} OR c.relkind = 'p' AND ${userSchemas("n")}) AND a.attnum > 0
              GROUP BY c.oid) AS tables`,
  );
  return rows[0]!.places ?? {};
}

/**
 * The followed tables, qualified and quoted, with changes that the stream does not contain:
 *
 * - a table, column, label or attribute was replaced under its name
 * - ALTER TABLE rewrote the rows
 * - a generated key column has another expression
 * - a table with REPLICA IDENTITY FULL lost or replaced its primary key
 * - the table was removed from the publication
 * - before 11, the table was truncated or rewritten: TRUNCATE is not published there
 *
 * @throws PublicationAltered when the publications themselves were changed
 */
export async function replacedSince(
  source: Client,
  names: ChangeCaptureNames,
  mark: SchemaBaseline,
): Promise<Set<string>> {
  const now = await publicationVersions(source, names);
  if (now !== mark.publications)
    throw tampered(names, now.split(" ").length < mark.publications.split(" ").length || now === "");
  const tables = await readTables(source);
  const publishesGeneratedColumns = await publishesGenerated(source, [names.publication]);
  const isRewritten = (await serverVersion(source)) < 110000 ? `c.relfilenode::int8 > ${mark.highestOid}` : "false";
  const isNotPublished = (await hasPublications(source)) ? notPublished(names, mark) : "false";
  const { rows } = await source.query<{ schema: string; name: string }>(
    `SELECT n.nspname AS schema, c.relname AS name
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE ${followedTables}
        AND (${isNotPublished} OR c.oid::text = ANY ($1) OR ${isRewritten})`,
    [
      [
        ...withOtherColumns(tables.columns, mark),
        ...rewrittenTables(tables.forms, mark),
        ...(publishesGeneratedColumns ? withWrittenColumns(tables.forms, mark) : []),
        ...(publishesGeneratedColumns ? await withRecomputedKeys(source, mark.given?.defaults) : []),
        ...renamedTables(tables.names, mark),
        ...withOtherKeys(tables.keys, mark),
        ...(await omitParts(source, tables.parts, mark.parts)),
      ],
    ],
  );
  return new Set(rows.map(({ schema, name }) => qualify(schema, name)));
}

/** The OIDs of tables with a column that was replaced under its name. */
function withOtherColumns(now: ColumnOrdinals, { columns = {} }: SchemaBaseline): string[] {
  const isOther = (oid: string, name: string | null, place: number): boolean => {
    const before = name === null ? -1 : (columns[oid]?.indexOf(name) ?? -1);
    return before >= 0 && before !== place;
  };
  return Object.keys(now).filter((oid) => now[oid]!.some((name, place) => isOther(oid, name, place)));
}

/** The OIDs of tables that took the name of another table. That table may have been renamed or dropped. */
function renamedTables(now: TableNames, { names = {} }: SchemaBaseline): string[] {
  const taken = new Set(Object.values(names));
  return Object.keys(now).filter((oid) => names[oid] !== now[oid] && taken.has(now[oid]!));
}

/**
 * The OIDs of tables with REPLICA IDENTITY FULL that lost or replaced their primary key. Without the key, the source may have had
 * several rows with one key, but the stream was applied by this key.
 */
function withOtherKeys(now: TableKeys, { keys = {} }: SchemaBaseline): string[] {
  return Object.entries(keys).flatMap(([oid, before]) => {
    const isFull = before.isFull || now[oid]?.isFull === true;
    return isFull && before.key !== null && before.key !== now[oid]?.key ? [oid] : [];
  });
}

/** The OIDs of tables that ALTER TABLE rewrote. A dropped column alone does not rewrite rows. */
function rewrittenTables(now: TableStorage, { forms = {} }: SchemaBaseline): string[] {
  return Object.keys(now).filter((oid) => {
    const [before, after] = [forms[oid], now[oid]!];
    if (!before || before.file === after.file) return false;
    return after.columns.some((version, place) => version !== "" && version !== before.columns[place]);
  });
}

/**
 * The OIDs of tables with a column that is no longer generated. A stream with generated columns does not show the difference,
 * so values that were written before the change was detected have not been applied.
 */
function withWrittenColumns(now: TableStorage, { forms = {} }: SchemaBaseline): string[] {
  return Object.keys(now).filter((oid) =>
    now[oid]!.columns.some((version, place) => version !== "" && forms[oid]?.columns[place] === ""),
  );
}

/** SQL: whether the table `c` is not in the migration's publications, or was added after the baseline. */
function notPublished(
  { publication, insertOnlyPublication }: ChangeCaptureNames,
  { highestOid }: SchemaBaseline,
): string {
  const own = `p.pubname IN (${quoteLiteral(publication)}, ${quoteLiteral(insertOnlyPublication)})`;
  return `(NOT EXISTS (SELECT FROM pg_publication_tables p
                        WHERE ${own} AND p.schemaname = n.nspname AND p.tablename = c.relname)
           OR EXISTS (SELECT FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid
                       WHERE r.prrelid = c.oid AND ${own} AND r.oid::int8 > ${highestOid}))`;
}

/** @param isAnyDropped one was dropped, or another server answers at the source's address. The next update finds it missing. */
function tampered(
  { publication, insertOnlyPublication }: ChangeCaptureNames,
  isAnyDropped: boolean,
): PublicationAltered {
  return new PublicationAltered(
    `the publications ${publication} and ${insertOnlyPublication} were dropped or altered on the source: changes are missing in the stream`,
    {
      remedy: isAnyDropped
        ? `if another server answers at the source's address, correct the address, then run pulumi up, which resumes; otherwise ${copyAgain}`
        : "delete this migration and start it again; do not change its publications",
      code: "PGM-501",
    },
  );
}

/** The version is xmin, which also changes if options are changed and changed back. */
async function publicationVersions(source: Client, names: ChangeCaptureNames): Promise<string> {
  if (!(await hasPublications(source))) return "";
  const { rows } = await source.query<{ version: string }>(
    "SELECT concat_ws('/', oid, xmin) AS version FROM pg_publication WHERE pubname IN ($1, $2) ORDER BY pubname",
    [names.publication, names.insertOnlyPublication],
  );
  return rows.map(({ version }) => version).join(" ");
}
