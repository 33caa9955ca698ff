import type { Client } from "pg";
import { readSelection } from "../../schema/plan/selection.js";
import type { Finding } from "../../findings.js";
import type { SourceContext, SourceRule } from "../context.js";
import { enumerate } from "../../units/enumerate.js";
import { extensionTable } from "./extension-table.js";

interface NamedTable {
  readonly name: string;
  /** Its {@link catalogueKey}; null for a table that no longer exists. */
  readonly key: string | null;
}

/** Tables whose rows an extension keeps elsewhere: in chunks of TimescaleDB, or on other servers of Citus. */
export const distributedTables: SourceRule = async (context) => {
  const findings: Finding[] = [];
  for (const [database, source] of context.sources)
    findings.push(...(await hypertables(context, database, source)), ...(await citusTables(context, database, source)));
  return findings;
};

async function hypertables(context: SourceContext, database: string, source: Client): Promise<Finding[]> {
  const table = await extensionTable(source, "hypertable", "_timescaledb_catalog");
  if (table === undefined) return [];
  const names = await selected(
    context,
    source,
    `SELECT format('%I.%I', schema_name, table_name) AS name,
            'pg_class'::regclass::oid || '/' || to_regclass(format('%I.%I', schema_name, table_name))::oid AS key
       FROM ${table} WHERE schema_name::text !~ '^_timescaledb' ORDER BY 1`,
  );
  if (names.length === 0) return [];
  return [
    {
      ...{ database, type: "ExtensionsValidation", objectType: "Database", object: names[0] },
      ...{ state: "Failed", code: "PGM-443" },
      message: `these are hypertables of TimescaleDB, whose chunks a restore cannot create: ${enumerate(names, 20)}`,
      remedy:
        "exclude them and the extension timescaledb, and migrate them with TimescaleDB's own tools; or copy their rows into ordinary partitioned tables on the source",
    },
  ];
}

/** COPY on the coordinator returns all rows, but its WAL has none of their changes. */
async function citusTables(context: SourceContext, database: string, source: Client): Promise<Finding[]> {
  const table = await extensionTable(source, "pg_dist_partition", "pg_catalog");
  if (table === undefined) return [];
  const names = await selected(
    context,
    source,
    `SELECT logicalrelid::regclass::text AS name, 'pg_class'::regclass::oid || '/' || logicalrelid::oid AS key
       FROM ${table} ORDER BY 1`,
  );
  if (names.length === 0) return [];
  const isOnline = context.spec.migrationMode === "Online";
  return [
    {
      ...{ database, type: "ExtensionsValidation", objectType: "Database", object: names[0], code: "PGM-444" },
      state: isOnline ? "Failed" : "Warning",
      message: `these are distributed tables of Citus: ${enumerate(names, 20)}; ${isOnline ? "the coordinator's WAL does not contain their changes" : "their rows are read from several servers without a common snapshot"}`,
      remedy: isOnline
        ? "migrate offline while applications are stopped, or undistribute the tables on the source: SELECT undistribute_table('<table>')"
        : "stop all applications during the copy",
    },
  ];
}

async function selected({ spec }: SourceContext, source: Client, query: string): Promise<string[]> {
  const { cut } = await readSelection(source, spec);
  const { rows } = await source.query<NamedTable>(query);
  return rows.filter(({ key }) => key === null || !cut.has(key)).map(({ name }) => name);
}
