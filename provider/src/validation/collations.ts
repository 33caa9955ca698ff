import type { Client } from "pg";
import type { Finding } from "../store/journal.js";
import { enumerate, type Rule } from "./context.js";

/** 603401, 603403: the databases' locales exist on the target. */
export const collations: Rule = async ({ sources, target }) => {
  const findings: Finding[] = [];
  for (const [database, client] of sources) {
    const { rows } = await client.query<{ collate: string; encoding: string }>(
      `SELECT datcollate AS collate, pg_encoding_to_char(encoding) AS encoding
         FROM pg_database WHERE datname = current_database()`,
    );
    const { collate, encoding } = rows[0]!;
    if (!(await knowsLocale(target, collate)))
      findings.push({
        database,
        type: "CollationsValidation",
        state: "Warning",
        code: "603401",
        object: collate,
        objectType: "Database",
        message: `the target does not know the locale ${collate} of ${database}; the nearest one is taken, so the order of texts may differ`,
        remedy: `create ${database} on the target yourself with the locale that you want`,
      });
    if (encoding === "SQL_ASCII")
      findings.push({
        database,
        type: "CollationsValidation",
        state: "Warning",
        object: encoding,
        objectType: "Database",
        message: `${database} is encoded in SQL_ASCII, which promises nothing about its bytes: they are carried as they are`,
        remedy: "none needed for the migration; texts of mixed encodings stay mixed",
      });
    const unreadable = encoding === "SQL_ASCII" ? await namesOfOtherEncodings(client) : [];
    if (unreadable.length > 0)
      findings.push({
        database,
        type: "CollationsValidation",
        state: "Failed",
        object: unreadable[0],
        objectType: "Database",
        message: `names or texts in the schema of ${database} are no valid UTF-8: ${enumerate(unreadable)}`,
        remedy: "rename or correct them on the source; only rows may hold bytes of any encoding",
      });
  }
  if (findings.length > 0) return findings;
  return [
    { type: "CollationsValidation", state: "Succeeded", objectType: "Instance", message: "every locale is there" },
  ];
};

/** What a dump would have to carry and cannot: told with a mark in the place of each byte that is not UTF-8. */
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
  // All characters are single bytes to such a server.
  const { rows } = await source.query<{ place: string; bytes: Buffer }>(
    `SELECT place, bytes FROM (${texts.join(" UNION ALL ")}) AS t WHERE encode(bytes, 'hex') ~ '^(..)*[89a-f].'`,
  );
  const decoder = new TextDecoder();
  const decoded = rows.map(({ place, bytes }) => place + decoder.decode(bytes).slice(0, 60));
  return [...new Set(decoded.filter((text) => text.includes("\ufffd")))];
}

async function knowsLocale(target: Client, locale: string): Promise<boolean> {
  const { rows } = await target.query<{ known: boolean }>(
    `SELECT lower($1) IN ('c', 'posix')
            OR EXISTS (SELECT FROM pg_database WHERE datcollate = $1)
            OR EXISTS (SELECT FROM pg_collation WHERE collcollate = $1 OR collname = $1) AS known`,
    [locale],
  );
  return rows[0]!.known;
}
