import type { Client } from "pg";
import { qualify } from "../../postgres/identifiers.js";
import { notExtensionMember, userSchemas } from "../../postgres/catalogue-filters.js";
import { serverVersion } from "../../postgres/server-version.js";

interface Sequence {
  readonly schema: string;
  readonly name: string;
  /** As ALTER SEQUENCE takes them. */
  readonly options: string;
}

/** Statements that have sequences count as the source's do; what they have come to is carried over at the cutover. */
export async function readSequenceDrift(
  source: Client,
  target: Client,
  schemaOnTarget: (schema: string) => string,
): Promise<string[]> {
  // Before 10 a sequence's options are a row of its own relation.
  if ((await serverVersion(source)) < 100000 || (await serverVersion(target)) < 100000) return [];
  const onTarget = new Map((await listSequences(target)).map((one) => [qualify(one.schema, one.name), one.options]));
  return (await listSequences(source)).flatMap(({ schema, name, options }) => {
    const sequence = qualify(schemaOnTarget(schema), name);
    const present = onTarget.get(sequence);
    return present === undefined || present === options ? [] : [`ALTER SEQUENCE ${sequence} ${options}`];
  });
}

async function listSequences(client: Client): Promise<Sequence[]> {
  const { rows } = await client.query<Sequence>(`
    SELECT n.nspname AS schema, c.relname AS name,
           format('AS %s INCREMENT BY %s MINVALUE %s MAXVALUE %s START WITH %s CACHE %s %s', format_type(s.seqtypid, NULL),
                  s.seqincrement, s.seqmin, s.seqmax, s.seqstart, s.seqcache, CASE WHEN s.seqcycle THEN 'CYCLE' ELSE 'NO CYCLE' END) AS options
      FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE ${userSchemas("n")} AND ${notExtensionMember("pg_class", "c.oid")}`);
  return rows;
}
