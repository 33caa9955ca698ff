import { userSchemas } from "../../postgres/catalogue-filters.js";
import type { Client } from "pg";
import { hasPublications } from "../../cdc/source/publication.js";
import { sumOfTriggersAndRules } from "../../schema/catalogue/catalogue-version.js";
import { serverVersion } from "../../postgres/server-version.js";

/**
 * Changes with every change of a table, its columns, indexes, constraints and partitions, of a type, of a schema's name, and of
 * the publications. It also changes if a trigger, rule or policy is created, dropped or renamed, and before 11 with TRUNCATE, which
 * is not published there.
 */
export async function schemaFingerprint(source: Client): Promise<string> {
  const version = await serverVersion(source);
  // Only tables: every REFRESH of a materialized view gives its indexes new files.
  const file = version < 110000 ? ", CASE relkind WHEN 'r' THEN relfilenode END" : "";
  const sequences = version < 100000 ? "" : sequenceSum;
  const { rows } = await source.query<{ fingerprint: string }>(
    `WITH relation AS (
       SELECT c.oid, c.relname, c.relkind, c.relnamespace, c.relfilenode, c.relreplident, c.relpersistence FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p', 'i', 'I', 'c') AND c.relpersistence <> 't'
          AND ${userSchemas("n")})
     SELECT concat_ws(' ',
       (SELECT sum(hashtext(concat_ws(' ', oid, relname, relkind, relnamespace, relreplident, relpersistence${file}))::int8) FROM relation),
       (SELECT sum(hashtext(concat_ws(' ', attrelid, attnum, attname, atttypid, atttypmod, attnotnull, atthasdef, attisdropped, a.xmin))::int8)
          FROM pg_attribute a JOIN relation ON relation.oid = attrelid WHERE attnum > 0),
       (SELECT sum(hashtext(concat_ws(' ', k.oid, k.conname, k.xmin))::int8) FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace AND ${userSchemas("n")}),
       (SELECT sum(hashtext(concat_ws(' ', x.indexrelid, x.indisvalid, x.indisreplident, x.indisclustered))::int8) FROM pg_index x JOIN relation ON relation.oid = x.indexrelid),
       (SELECT sum(hashtext(concat_ws(' ', h.inhrelid, h.inhparent, h.xmin))::int8) FROM pg_inherits h JOIN relation ON relation.oid = h.inhrelid),
       (SELECT sum(hashtext(concat_ws(' ', t.oid, t.typname, t.typnamespace, t.typnotnull, t.typdefault))::int8)
          FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace AND ${userSchemas("n")} WHERE t.typtype IN ('d', 'e', 'r')),
       (SELECT sum(hashtext(concat_ws(' ', n.oid, n.nspname))::int8) FROM pg_namespace n WHERE ${userSchemas("n")}),
       ${sumOfTriggersAndRules},
       (SELECT sum(hashtext(concat_ws(' ', oid, polname))::int8) FROM pg_policy),
       ${sequences}
       ${(await hasPublications(source)) ? publicationSums : ""}
       (SELECT sum(hashtext(concat_ws(' ', oid, enumtypid, enumlabel, enumsortorder))::int8) FROM pg_enum)) AS fingerprint`,
  );
  return rows[0]!.fingerprint;
}

/** Omits the sequences of temporary tables, which applications create and drop all the time. */
const sequenceSum = `
       (SELECT sum(hashtext(s::text)::int8) FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid WHERE c.relpersistence <> 't'),`;

const publicationSums = `
       (SELECT sum(hashtext(concat_ws(' ', oid, xmin))::int8) FROM pg_publication),
       (SELECT sum(hashtext(concat_ws(' ', oid, prpubid, prrelid))::int8) FROM pg_publication_rel),`;
