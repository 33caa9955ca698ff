import type { Client } from "pg";
import type { Difference } from "./first-differences.js";
import type { TableComparison } from "./compare-tables.js";

/** Number of objects per query, and number of bytes per hash. */
const objectsPerPage = 1000;
const chunkBytes = 1 << 22;
const maxDifferences = 10;

/**
 * Compares all large objects with their content, page by page in the order of their OIDs. Servers send only hashes. The
 * result has the form of a table's comparison; undefined if the source has no large objects.
 *
 * @param source a session in the snapshot. Both sessions' roles may read all large objects.
 */
export async function compareLargeObjects(source: Client, target: Client): Promise<TableComparison | undefined> {
  const differences: Difference[] = [];
  let [sourceRows, targetRows] = [0, 0];
  for (let after = "0"; ;) {
    const oids = await page(source, after);
    const last = oids.at(-1);
    const upTo = last ?? "4294967295";
    const targetOids = await page(target, after, upTo);
    sourceRows += oids.length;
    targetRows += targetOids.length;
    differences.push(...(await differencesOf(source, target, oids, targetOids)));
    if (last === undefined) break;
    after = last;
  }
  if (sourceRows === 0 && targetRows === 0) return undefined;
  const equal = differences.length === 0 && sourceRows === targetRows;
  const firstDifferences = differences.slice(0, maxDifferences);
  return {
    schema: "pg_catalog",
    table: "pg_largeobject",
    sourceRows,
    targetRows,
    equal,
    by: "content",
    firstDifferences,
  };
}

async function page(client: Client, after: string, upTo = "4294967295"): Promise<string[]> {
  const { rows } = await client.query<{ oid: string }>(
    `SELECT l.oid::text AS oid FROM pg_largeobject_metadata l
      WHERE l.oid > $1::oid AND l.oid <= $2::oid ORDER BY l.oid LIMIT ${objectsPerPage}`,
    [after, upTo],
  );
  return rows.map(({ oid }) => oid);
}

async function differencesOf(
  source: Client,
  target: Client,
  wanted: readonly string[],
  targetOids: readonly string[],
): Promise<Difference[]> {
  const [one, other] = [new Set(wanted), new Set(targetOids)];
  const both = wanted.filter((oid) => other.has(oid));
  const [expected, actual] = await Promise.all([hashes(source, both), hashes(target, both)]);
  return [
    ...wanted.filter((oid) => !other.has(oid)).map((oid): Difference => ({ kind: "missing", key: `oid=${oid}` })),
    ...targetOids.filter((oid) => !one.has(oid)).map((oid): Difference => ({ kind: "unexpected", key: `oid=${oid}` })),
    ...both
      .filter((oid) => expected.get(oid) !== actual.get(oid))
      .map((oid): Difference => ({ kind: "different", key: `oid=${oid}` })),
  ];
}

/** For each object the hashes of its chunks, as one text. */
async function hashes(client: Client, oids: readonly string[]): Promise<Map<string, string>> {
  const result = new Map<string, string>();
  let offset = 0;
  for (let unfinished = oids; unfinished.length > 0; offset += chunkBytes) {
    const { rows } = await client.query<{ oid: string; hash: string; full: boolean }>(
      `SELECT chunk.oid::text AS oid, md5(chunk.data) AS hash, length(chunk.data) = $3::int AS full
         FROM (SELECT oid, lo_get(oid, $2::int8, $3::int) AS data FROM unnest($1::oid[]) AS oid) AS chunk`,
      [unfinished, offset, chunkBytes],
    );
    for (const { oid, hash } of rows) result.set(oid, `${result.get(oid) ?? ""}${hash}`);
    unfinished = rows.filter(({ full }) => full).map(({ oid }) => oid);
  }
  return result;
}
