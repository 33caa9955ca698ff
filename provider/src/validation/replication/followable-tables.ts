import type { Client } from "pg";
import { canUseReplicaIdentityFull, maxCapabilities, hasReplicaIdentity } from "../../cdc/source/replica-identity.js";
import type { MigrationSpec } from "../../inputs/inputs.js";
import { qualify } from "../../postgres/identifiers.js";
import { listTables, type Table } from "../../postgres/tables.js";
import type { Finding } from "../../findings.js";
import { enumerate, type ValidationContext } from "../context.js";

/** What of a table's changes the stream does not tell, or tells dearly. */
type TableFinding = Pick<Finding, "object" | "message" | "remedy"> & { readonly state?: "Failed" };

/** Whose changes cannot be followed, or not all of them, or not as one expects. */
export async function followableTables(
  database: string,
  client: Client,
  { spec, sourceVersion }: Pick<ValidationContext, "spec" | "sourceVersion">,
): Promise<Finding[]> {
  const tables = (await listTables(client)).filter((table) => !table.partitioned);
  const telling = maxCapabilities(sourceVersion);
  const nameless = tables.filter(
    (table) => !table.unlogged && !hasReplicaIdentity(table, telling) && table.columns.length > 0,
  );
  const keyless = nameless.filter((table) => canUseReplicaIdentityFull(table, telling));
  const computed = nameless.filter((table) => !keyless.includes(table));
  const found = [
    ...untoldTruncates(database, sourceVersion),
    ...ofSome(keyless, () => keylessFinding(keyless, spec.keylessTables, sourceVersion)),
    ...ofSome(computed, () => computedFinding(computed, sourceVersion)),
    ...ofSome(
      tables.filter(({ unlogged }) => unlogged),
      unloggedFinding,
    ),
  ];
  const common = { type: "SchemaValidation", database, objectType: "Database", state: "Warning" } as const;
  return found.map((one): Finding => ({ ...common, ...one }));
}

const ofSome = (tables: readonly Table[], finding: (tables: readonly Table[]) => TableFinding): TableFinding[] =>
  tables.length === 0 ? [] : [finding(tables)];

const named = (tables: readonly Table[]): string => enumerate(tables.map(({ schema, name }) => `${schema}.${name}`));

const mostStatements = 5;

const alterTables = (tables: readonly Table[], change: string): string =>
  tables
    .slice(0, mostStatements)
    .map(({ schema, name }) => `ALTER TABLE ${qualify(schema, name)} ${change}`)
    .join("; ");

function untoldTruncates(database: string, sourceVersion: number): TableFinding[] {
  if (sourceVersion >= 110000) return [];
  return [
    {
      object: database,
      message:
        "a source before PostgreSQL 11 does not tell of TRUNCATE: a table that is truncated, or rewritten by VACUUM FULL, CLUSTER or ALTER TABLE, is copied anew while following",
      remedy: "use DELETE instead of TRUNCATE, and rewrite no large table, until the cutover",
    },
  ];
}

function keylessFinding(
  tables: readonly Table[],
  keylessTables: MigrationSpec["keylessTables"],
  sourceVersion: number,
): TableFinding {
  const object = named(tables);
  const fullByHand = alterTables(tables, "REPLICA IDENTITY FULL");
  if (keylessTables === "insertsOnly")
    return {
      object,
      message: `without a primary key or replica identity, or with one that is generated, only inserts are followed; an UPDATE or DELETE in ${object} is found at cutover as a difference`,
      remedy: `keylessTables: "full" (from PostgreSQL 10 on), or ${fullByHand}`,
    };
  // What was set is kept with the publication, for it to be reset, and there is none.
  if (sourceVersion < 100000)
    return {
      object,
      state: "Failed",
      message: `before PostgreSQL 10 keylessTables: "full" cannot set REPLICA IDENTITY FULL for you on ${object}`,
      remedy: `set keylessTables to insertsOnly, and on the source: ${fullByHand}`,
    };
  return {
    object,
    message: `REPLICA IDENTITY FULL is set on ${object} until the migration ends: their updates and deletes write whole rows to the WAL, and are applied one by one`,
    remedy: "give large tables a primary key before, or set keylessTables to insertsOnly",
  };
}

function computedFinding(tables: readonly Table[], sourceVersion: number): TableFinding {
  const object = named(tables);
  const [virtual, orFull] = sourceVersion < 180000 ? ["", ", or FULL"] : ["virtual ", ""];
  return {
    object,
    message: `what names rows of ${object} is generated, and the stream of changes leaves ${virtual}generated columns out: only inserts are followed; an UPDATE or DELETE there is found at cutover as a difference`,
    remedy: `give each a replica identity without generated columns, before: ALTER TABLE <table> REPLICA IDENTITY DEFAULT where it has such a primary key, or USING INDEX <a unique index over NOT NULL columns>${orFull}`,
  };
}

const unloggedFinding = (tables: readonly Table[]): TableFinding => ({
  object: named(tables),
  message: `unlogged tables are copied once and not followed: ${named(tables)}`,
  remedy: alterTables(tables, "SET LOGGED"),
});
