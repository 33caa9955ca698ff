import { isDeepStrictEqual } from "node:util";
import type { Client } from "pg";
import type { ChangeCaptureNames } from "../../cdc/model/names.js";
import { hasPublications, publishesGenerated } from "../../cdc/source/publication.js";
import { RefusedError } from "../../errors.js";
import { qualify, quoteLiteral } from "../../postgres/identifiers.js";
import { serverVersion } from "../../postgres/server-version.js";
import { readCatalogueVersion } from "../../schema/catalogue/catalogue-version.js";
import { type Definitions, digestsOf, readDefinitions } from "../../schema/catalogue/definitions.js";
import { type ObjectSettings, readObjectSettings, settingDigestsOf } from "../../schema/catalogue/object-settings.js";
import { type Bounds, readBounds } from "./inheritance-drift.js";
import { type Defaults, readDefaults, withRecomputedKeys } from "./deferred-columns.js";
import { readSchemaNames, type SchemaNames } from "./renamed-schemas.js";
import { readRules, type Rules } from "./rule-drift.js";
import { readTypeMarks, type TypeMarks } from "./type-drift.js";
import { readTypeParts, type TypeParts, omitParts } from "./type-parts.js";

/**
 * What tells, at any later time, whether the stream has had every change of every table since. Object identifiers are
 * given out in rising order: what has a higher one than all that were there is newer than the mark.
 */
export interface SchemaBaseline {
  /** Which publications these are, and which version of their options. */
  readonly publications: string;
  readonly highestOid: number;
  /** Unknown in the mark of an earlier version. */
  readonly columns?: ColumnOrdinals;
  /** Unknown in the mark of an earlier version. */
  readonly forms?: TableStorage;
  /** What functions, views and the like were when the target was given them; unknown in the mark of an earlier version. */
  readonly definitions?: Definitions;
  /** Of when the target was given them; unknown in the mark of an earlier version. */
  readonly settings?: ObjectSettings;
  /** Of the newest dump's moment, from {@link readCatalogueVersion}; unknown in the mark of an earlier version. */
  readonly catalogues?: string;
  /** Unknown in the mark of an earlier version. */
  readonly names?: TableNames;
  /** Unknown in the mark of an earlier version. */
  readonly parts?: TypeParts;
  /** Unknown in the mark of an earlier version. */
  readonly given?: ObservedSchema;
}

/** What the target was given last of what shapes the source's tables, beside their columns. */
export interface ObservedSchema {
  readonly schemas: SchemaNames;
  readonly types: TypeMarks;
  readonly rules: Rules;
  readonly bounds: Bounds;
  readonly defaults: Defaults;
}

/** By a table's object identifier, also of one without rows in the stream: what it is called, qualified and quoted. */
export type TableNames = Readonly<Record<string, string>>;

/** By a table's object identifier: the file that its rows are in, and the versions of its columns in the catalogue. */
export type TableStorage = Readonly<Record<string, { readonly file: number; readonly columns: readonly string[] }>>;

/**
 * By a table's object identifier: its columns' names by their attribute numbers, less one; null for one that was dropped.
 * Numbers are never given out again, so that a column under another one's name is seen, although it looks the same.
 */
export type ColumnOrdinals = Readonly<Record<string, readonly (string | null)[]>>;

/** Somebody has changed what the stream is made of: what was written meanwhile is not in it, nor will ever be. */
export class PublicationAltered extends RefusedError {}

/** Taken in the session that the tables are copied in, so that a mark and its copy are of one moment. */
export async function readSchemaBaseline(source: Client, names: ChangeCaptureNames): Promise<SchemaBaseline> {
  const published = (await hasPublications(source)) ? ", (SELECT max(oid::int8) FROM pg_publication_rel)" : "";
  const { rows } = await source.query<{ highest: string }>(
    `SELECT greatest((SELECT max(greatest(oid, relfilenode)::int8) FROM pg_class)${published}) AS highest`,
  );
  return {
    publications: await publicationVersions(source, names),
    highestOid: Number(rows[0]!.highest),
    definitions: digestsOf(await readDefinitions(source)),
    settings: settingDigestsOf(await readObjectSettings(source)),
    catalogues: await readCatalogueVersion(source),
    ...(await readTables(source)),
    given: await readObservedSchema(source),
  };
}

/** What a mark knows of the source's tables. */
export async function readTables(
  source: Client,
): Promise<Required<Pick<SchemaBaseline, "columns" | "forms" | "names" | "parts">>> {
  return {
    columns: await readColumnOrdinals(source),
    forms: await readTableStorage(source),
    names: await readTableNames(source),
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

/** Whether the source is what it was when the target was made like it: what differs, somebody has changed on the target. */
export function isAsNoted(
  now: Pick<SchemaBaseline, "columns" | "forms" | "names" | "parts" | "given">,
  mark: SchemaBaseline,
): boolean {
  // Only what wrote a column anew counts of a table's file.
  const looks = ({ columns, names, parts, given, forms = {} }: typeof now): unknown => ({
    ...{ columns, names, parts, given },
    versions: Object.entries(forms).map(([oid, { columns: versions }]) => [oid, versions]),
  });
  return isDeepStrictEqual(looks(now), looks(mark));
}

async function readTableNames(source: Client): Promise<TableNames> {
  const { rows } = await source.query<{ oid: string; schema: string; name: string }>(
    `SELECT c.oid::text AS oid, n.nspname AS schema, c.relname AS name
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
        AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'`,
  );
  return Object.fromEntries(rows.map(({ oid, schema, name }) => [oid, qualify(schema, name)]));
}

const followedTables = `
  c.relkind = 'r' AND c.relpersistence = 'p' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'`;

/**
 * ALTER TABLE writes a table's rows anew for a type, with USING for other values of the same one, and for a column whose
 * default differs from row to row: the stream has none of these rows. It leaves another file and another version of
 * a column, where VACUUM FULL, CLUSTER and TRUNCATE leave another file alone.
 */
export async function readTableStorage(source: Client): Promise<TableStorage> {
  const isComputed = (await serverVersion(source)) >= 120000 ? "a.attgenerated <> ''" : "false";
  const { rows } = await source.query<{ forms: TableStorage | null }>(
    `SELECT json_object_agg(oid, json_build_object('file', file, 'columns', columns)) AS forms
       FROM (SELECT c.oid::text AS oid, c.relfilenode::int8 AS file,
                    -- What the target computes, or fills alike by a constant, it has by itself.
                    json_agg(CASE WHEN ${isComputed} OR a.attisdropped THEN '' ELSE a.xmin::text END ORDER BY a.attnum) AS columns
               FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
              WHERE ${followedTables} AND a.attnum > 0
              GROUP BY c.oid, c.relfilenode) AS tables`,
  );
  return rows[0]!.forms ?? {};
}

/** Another number where any table has another file: much cheaper than to read them all. */
export async function sumOfFiles(source: Client): Promise<string> {
  const { rows } = await source.query<{ sum: string }>(
    `SELECT coalesce(sum(c.relfilenode::int8), 0)::text AS sum
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE ${followedTables}`,
  );
  return rows[0]!.sum;
}

/**
 * What is known of tables, with their present files where their columns are as they were: these VACUUM FULL, CLUSTER or
 * TRUNCATE has made, of which the stream tells enough. Else a column that is added later would be taken for what has
 * rewritten the table.
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
              WHERE (${followedTables} OR c.relkind = 'p' AND n.nspname !~ '^pg_') AND a.attnum > 0
              GROUP BY c.oid) AS tables`,
  );
  return rows[0]!.places ?? {};
}

/**
 * The tables, qualified and quoted, whose changes are not all in the stream, although they are followed: made anew
 * under the name of another one, with a column under the name of another one, or a label or an attribute, written anew
 * by ALTER TABLE, with keys that are computed otherwise, taken out of the publication, or, before 11, which does not
 * publish it, truncated. A table that was only rewritten looks the same there.
 *
 * @throws PublicationAltered when this is so of all tables
 */
export async function replacedSince(
  source: Client,
  names: ChangeCaptureNames,
  mark: SchemaBaseline,
): Promise<Set<string>> {
  const now = await publicationVersions(source, names);
  if (now !== mark.publications) throw tampered(names, now === "");
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
        ...(await omitParts(source, tables.parts, mark.parts)),
      ],
    ],
  );
  return new Set(rows.map(({ schema, name }) => qualify(schema, name)));
}

/** The tables' object identifiers. */
function withOtherColumns(now: ColumnOrdinals, { columns = {} }: SchemaBaseline): string[] {
  const isOther = (oid: string, name: string | null, place: number): boolean => {
    const before = name === null ? -1 : (columns[oid]?.indexOf(name) ?? -1);
    return before >= 0 && before !== place;
  };
  return Object.keys(now).filter((oid) => now[oid]!.some((name, place) => isOther(oid, name, place)));
}

/**
 * The tables' object identifiers: two tables may have swapped their names, one may have made room for another, or be
 * gone.
 */
function renamedTables(now: TableNames, { names = {} }: SchemaBaseline): string[] {
  const taken = new Set(Object.values(names));
  return Object.keys(now).filter((oid) => names[oid] !== now[oid] && taken.has(now[oid]!));
}

/** The tables' object identifiers. A dropped column alone is none: its rows stay as they are. */
function rewrittenTables(now: TableStorage, { forms = {} }: SchemaBaseline): string[] {
  return Object.keys(now).filter((oid) => {
    const [before, after] = [forms[oid], now[oid]!];
    if (!before || before.file === after.file) return false;
    return after.columns.some((version, place) => version !== "" && version !== before.columns[place]);
  });
}

/**
 * The tables' object identifiers: a column was generated and is written now. Where the stream tells of generated
 * columns, it does not tell these apart, and what was written before anybody looked has not been taken for more than
 * the target's own.
 */
function withWrittenColumns(now: TableStorage, { forms = {} }: SchemaBaseline): string[] {
  return Object.keys(now).filter((oid) =>
    now[oid]!.columns.some((version, place) => version !== "" && forms[oid]?.columns[place] === ""),
  );
}

/** Whether the table `c` is not in the migration's publications, or was put there later than the mark. */
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

/** xmin tells options that were changed and changed back, too. */
/** None is left where somebody has dropped them all, or where another server answers at the source's address. */
function tampered({ publication, insertOnlyPublication }: ChangeCaptureNames, isNoneLeft: boolean): PublicationAltered {
  const anew = "delete this migration and start it anew; leave its publications alone";
  return new PublicationAltered(
    `somebody has dropped or altered the publications ${publication} and ${insertOnlyPublication} on the source: changes are missing in the stream`,
    {
      remedy: isNoneLeft
        ? `where another server answers at the source's address, let that lead to the source again, then pulumi up, which goes on; else ${anew}`
        : anew,
      code: "603120",
    },
  );
}

async function publicationVersions(source: Client, names: ChangeCaptureNames): Promise<string> {
  if (!(await hasPublications(source))) return "";
  const { rows } = await source.query<{ version: string }>(
    "SELECT concat_ws('/', oid, xmin) AS version FROM pg_publication WHERE pubname IN ($1, $2) ORDER BY pubname",
    [names.publication, names.insertOnlyPublication],
  );
  return rows.map(({ version }) => version).join(" ");
}
