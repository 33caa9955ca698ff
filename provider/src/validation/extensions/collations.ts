import type { Client } from "pg";
import { notExtensionMember } from "../../postgres/catalogue-filters.js";
import { quoteLiteral } from "../../postgres/identifiers.js";
import { sqlStateOf } from "../../postgres/sql-state.js";
import type { Finding, Problem } from "../../findings.js";
import type { Rule } from "../context.js";
import { enumerate } from "../../units/enumerate.js";

/** 603401 to 603403: the locales of databases and collations exist on the target. */
export const collations: Rule = async ({ sources, target }) => {
  const findings: Finding[] = [];
  for (const [database, client] of sources)
    for (const finding of await findingsOf(database, client, target))
      findings.push({ database, type: "CollationsValidation", ...finding });
  if (findings.length > 0) return findings;
  return [
    { type: "CollationsValidation", state: "Succeeded", objectType: "Instance", message: "every locale is available" },
  ];
};

async function findingsOf(database: string, source: Client, target: Client): Promise<Named[]> {
  const { rows } = await source.query<{ collate: string; encoding: string }>(
    `SELECT datcollate AS collate, pg_encoding_to_char(encoding) AS encoding
       FROM pg_database WHERE datname = current_database()`,
  );
  const { collate, encoding } = rows[0]!;
  const isKnown = await knowsLocale(target, collate);
  const absent = await absentCollations(source, target, encoding);
  const columns = absent.flatMap((one) => one.columns);
  const elsewhere = absent.filter((one) => one.columns.length === 0).map(({ name }) => name);
  const missing = await refusedCollations(source, target, encoding);
  const unreadable = encoding === "SQL_ASCII" ? await namesOfOtherEncodings(source) : [];
  return [
    ...(isKnown ? [] : [otherLocale(database, collate)]),
    ...(encoding === "SQL_ASCII" ? [unknownEncoding(database, encoding)] : []),
    ...(columns.length > 0 ? [columnsLackCollations(database, columns)] : []),
    ...(elsewhere.length > 0 ? [objectsLackCollations(database, elsewhere)] : []),
    ...(missing.length > 0 ? [lacksCollations(database, missing)] : []),
    ...(unreadable.length > 0 ? [unreadableNames(database, unreadable)] : []),
  ];
}

type Named = Omit<Problem, "type" | "database">;

const otherLocale = (database: string, collate: string): Named => ({
  state: "Warning",
  code: "603401",
  object: collate,
  objectType: "Database",
  message: `the target does not have the locale ${collate} of ${database}; the most similar one is used, so the order of texts may differ`,
  remedy: `create ${database} and its schema on the target with the locale that you want, and set dataOnly`,
});

const unknownEncoding = (database: string, encoding: string): Named => ({
  state: "Warning",
  code: "PGM-437",
  object: encoding,
  objectType: "Database",
  message: `${database} has the encoding SQL_ASCII, which does not define the meaning of bytes: they are copied unchanged`,
  remedy: "none needed for the migration; texts of mixed encodings stay mixed",
});

const columnsLackCollations = (database: string, columns: readonly string[]): Named => ({
  state: "Failed",
  code: "603402",
  object: columns[0],
  objectType: "Database",
  message: `the target has no locale for the collations of columns in ${database}: ${enumerate(columns, 20)}`,
  remedy:
    "on the source, give the columns another collation: ALTER TABLE ... ALTER ... TYPE ... COLLATE; ICU collations are available on every server",
});

const objectsLackCollations = (database: string, names: readonly string[]): Named => ({
  state: "Failed",
  code: "603402",
  object: names[0],
  objectType: "Database",
  message: `the target has no locale for collations that indexes, views or functions of ${database} use: ${enumerate(names, 20)}`,
  remedy: "on the source, create these objects with another collation; ICU collations are available on every server",
});

const lacksCollations = (database: string, missing: readonly string[]): Named => ({
  state: "Failed",
  code: "603403",
  object: missing[0],
  objectType: "Database",
  message: `the target has no locale for collations that ${database} defines: ${enumerate(missing, 20)}`,
  remedy:
    "on the source, give the columns and indexes another collation (ALTER TABLE ... ALTER ... TYPE ... COLLATE), and drop these; ICU collations are available on every server",
});

const unreadableNames = (database: string, unreadable: readonly string[]): Named => ({
  state: "Failed",
  code: "PGM-438",
  object: unreadable[0],
  objectType: "Database",
  message: `names or texts in the schema of ${database} are not valid UTF-8: ${enumerate(unreadable)}`,
  remedy: "rename or correct them on the source; only rows may contain bytes of any encoding",
});

interface OwnCollation {
  readonly name: string;
  readonly provider: "c" | "i" | "b";
  readonly collate: string | null;
  readonly ctype: string | null;
  readonly locale: string | null;
  readonly deterministic: boolean;
}

interface AbsentCollation {
  readonly name: string;
  /** Columns that use it, as table.column (collation). Other objects may use it as well. */
  readonly columns: readonly string[];
}

/** Collations of initdb that the schema uses and that the target lacks. */
async function absentCollations(source: Client, target: Client, encoding: string): Promise<AbsentCollation[]> {
  const { rows: used } = await source.query<AbsentCollation>(
    `SELECT c.collname AS name,
            array_remove(array_agg(DISTINCT CASE WHEN a.attnum > 0 AND r.relkind IN ('r', 'p', 'f')
                                                 THEN format('%s.%I.%I (%I)', r.relnamespace::regnamespace, r.relname, a.attname, c.collname) END), NULL) AS columns
       FROM pg_depend d
       JOIN pg_collation c ON d.refclassid = 'pg_collation'::regclass AND c.oid = d.refobjid
       LEFT JOIN pg_class r ON d.classid = 'pg_class'::regclass AND r.oid = d.objid
       LEFT JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum = d.objsubid
      WHERE c.oid < 16384 GROUP BY c.collname ORDER BY 1`,
  );
  const { rows } = await target.query<{ name: string }>(
    `SELECT name FROM unnest($1::name[]) AS name
      WHERE NOT EXISTS (SELECT FROM pg_collation c WHERE c.collnamespace = 'pg_catalog'::regnamespace AND c.collname = name
                           AND c.collencoding IN (-1, pg_char_to_encoding($2)))`,
    [used.map(({ name }) => name), encoding],
  );
  const absent = new Set(rows.map(({ name }) => name));
  return used.filter(({ name }) => absent.has(name));
}

/** User-defined collations that the target cannot create. */
async function refusedCollations(source: Client, target: Client, encoding: string): Promise<string[]> {
  const { rows } = await target.query<{ encoding: string }>("SELECT current_setting('server_encoding') AS encoding");
  // The encoding of the database determines which locales are possible.
  if (rows[0]!.encoding !== encoding) return [];
  const refused: string[] = [];
  for (const collation of await ownCollations(source))
    if (await isRefused(target, collation)) refused.push(collation.name);
  return refused;
}

async function ownCollations(source: Client): Promise<OwnCollation[]> {
  const { rows } = await source.query<OwnCollation>(
    `SELECT format('%I.%I', n.nspname, c.collname) AS name, coalesce(to_jsonb(c) ->> 'collprovider', 'c') AS provider,
            c.collcollate AS collate, c.collctype AS ctype,
            coalesce(to_jsonb(c) ->> 'colllocale', to_jsonb(c) ->> 'colliculocale', c.collcollate::text) AS locale,
            coalesce((to_jsonb(c) ->> 'collisdeterministic')::bool, true) AS deterministic
       FROM pg_collation c JOIN pg_namespace n ON n.oid = c.collnamespace
      WHERE c.oid >= 16384 AND ${notExtensionMember("pg_collation", "c.oid")} ORDER BY 1`,
  );
  return rows;
}

/** Tries to create it in a transaction that is rolled back. */
async function isRefused(
  target: Client,
  { provider, collate, ctype, locale, deterministic }: OwnCollation,
): Promise<boolean> {
  const options =
    provider === "c"
      ? `LC_COLLATE = ${quoteLiteral(collate ?? "C")}, LC_CTYPE = ${quoteLiteral(ctype ?? "C")}`
      : `PROVIDER = ${provider === "i" ? "icu" : "builtin"}, LOCALE = ${quoteLiteral(locale ?? "C")}, DETERMINISTIC = ${String(deterministic)}`;
  await target.query("BEGIN");
  try {
    await target.query(`CREATE COLLATION pg_temp.tried (${options})`);
    return false;
  } catch (error) {
    return localeErrors.has(sqlStateOf(error));
  } finally {
    await target.query("ROLLBACK");
  }
}

/** Unknown locale, or a provider that the server was built without. */
const localeErrors: ReadonlySet<string> = new Set(["22023", "42704", "0A000"]);

/** Names and texts that a dump cannot contain, with a mark for each byte that is not UTF-8. */
async function namesOfOtherEncodings(source: Client): Promise<string[]> {
  const texts = [
    ["pg_namespace", "nspname"],
    ["pg_class", "relname"],
    ["pg_attribute", "attname"],
    ["pg_type", "typname"],
    ["pg_enum", "enumlabel"],
    ["pg_constraint", "conname"],
    ["pg_trigger", "tgname"],
    ["pg_proc", "proname"],
    ["pg_proc", "prosrc"],
    ["pg_description", "description"],
  ].map(
    ([catalogue, column]) =>
      `SELECT '${catalogue!} ' AS place, convert_to(${column!}::text, 'SQL_ASCII') AS bytes FROM ${catalogue!}`,
  );
  // The server treats each byte as a character.
  const { rows } = await source.query<{ place: string; bytes: Buffer }>(
    `SELECT place, bytes FROM (${texts.join(" UNION ALL ")}) AS t WHERE encode(bytes, 'hex') ~ '^(..)*[89a-f].'`,
  );
  const decoder = new TextDecoder();
  const decoded = rows.map(({ place, bytes }) => place + decoder.decode(bytes).slice(0, 60));
  return [...new Set(decoded.filter((text) => text.includes("\ufffd")))];
}

/** Operating systems spell the same locale differently: `C.UTF-8`, `C.utf8`. */
async function knowsLocale(target: Client, locale: string): Promise<boolean> {
  const spelled = (name: string): string => `replace(lower(${name}), '-', '')`;
  const { rows } = await target.query<{ known: boolean }>(
    `SELECT wanted.name IN ('c', 'posix')
            OR EXISTS (SELECT FROM pg_database WHERE ${spelled("datcollate::text")} = wanted.name)
            OR EXISTS (SELECT FROM pg_collation
                        WHERE wanted.name IN (${spelled("collcollate::text")}, ${spelled("collname::text")})) AS known
       FROM (SELECT ${spelled("$1::text")}) AS wanted (name)`,
    [locale],
  );
  return rows[0]!.known;
}
