import type { Client } from "pg";
import { canUseReplicaIdentityFull, maxCapabilities, hasReplicaIdentity } from "../../cdc/source/replica-identity.js";
import type { MigrationSpec } from "../../inputs/inputs.js";
import { qualify } from "../../postgres/identifiers.js";
import { listTables, type Table } from "../../postgres/tables.js";
import type { Finding, Problem } from "../../findings.js";
import { isCutRelation, readSelection } from "../../schema/plan/selection.js";
import type { ValidationContext } from "../context.js";
import { enumerate } from "../../units/enumerate.js";

/** Changes of a table that the stream does not contain, or only at a high cost. */
type TableFinding = Pick<Problem, "code" | "object" | "message" | "remedy"> & { readonly state?: "Failed" };

/** Tables whose changes cannot be replicated, only in part, or in an unexpected way. */
export async function followableTables(
  database: string,
  client: Client,
  { spec, sourceVersion }: Pick<ValidationContext, "spec" | "sourceVersion">,
): Promise<Finding[]> {
  const selection = await readSelection(client, spec);
  const tables = (await listTables(client)).filter((table) => !table.partitioned && !isCutRelation(selection, table));
  const capabilities = maxCapabilities(sourceVersion);
  const withoutIdentity = tables.filter(
    (table) => !table.unlogged && !hasReplicaIdentity(table, capabilities) && table.columns.length > 0,
  );
  const keyless = withoutIdentity.filter((table) => canUseReplicaIdentityFull(table, capabilities));
  const computed = withoutIdentity.filter((table) => !keyless.includes(table));
  const found = [
    ...unpublishedTruncates(database, sourceVersion),
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

const maxStatements = 5;

const alterTables = (tables: readonly Table[], change: string): string =>
  tables
    .slice(0, maxStatements)
    .map(({ schema, name }) => `ALTER TABLE ${qualify(schema, name)} ${change}`)
    .join("; ");

function unpublishedTruncates(database: string, sourceVersion: number): TableFinding[] {
  if (sourceVersion >= 110000) return [];
  return [
    {
      code: "PGM-204",
      object: database,
      message:
        "a source before PostgreSQL 11 does not publish TRUNCATE: a table that is truncated, or rewritten by VACUUM FULL, CLUSTER or ALTER TABLE, is copied again during replication",
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
      code: "PGM-205",
      object,
      message: `without a primary key or replica identity, or with one that has generated columns, only inserts are followed; an UPDATE or DELETE in ${object} is found at cutover as a difference`,
      remedy: `keylessTables: "full" (from PostgreSQL 10 on), or ${fullByHand}`,
    };
  // The publication's comment lists the changed identities, so that they can be reset. Before 10 there are no
  // publications.
  if (sourceVersion < 100000)
    return {
      code: "PGM-205",
      object,
      state: "Failed",
      message: `before PostgreSQL 10 keylessTables: "full" cannot set REPLICA IDENTITY FULL for you on ${object}`,
      remedy: `set keylessTables to insertsOnly, and on the source: ${fullByHand}`,
    };
  return {
    code: "PGM-205",
    object,
    message: `sets REPLICA IDENTITY FULL on ${object} until the migration ends: updates and deletes write whole rows to the WAL`,
    remedy: "add a primary key to large tables before, or set keylessTables to insertsOnly",
  };
}

function computedFinding(tables: readonly Table[], sourceVersion: number): TableFinding {
  const object = named(tables);
  const [virtual, orFull] = sourceVersion < 180000 ? ["", ", or FULL"] : ["virtual ", ""];
  return {
    code: "PGM-205",
    object,
    message: `the replica identity of ${object} is generated, and the stream does not contain ${virtual}generated columns: only inserts are followed; an UPDATE or DELETE there is found at cutover as a difference`,
    remedy: `set a replica identity without generated columns before: ALTER TABLE <table> REPLICA IDENTITY DEFAULT if its primary key has none, or USING INDEX <a unique index over NOT NULL columns>${orFull}`,
  };
}

const unloggedFinding = (tables: readonly Table[]): TableFinding => ({
  code: "PGM-206",
  object: named(tables),
  message: `unlogged tables are copied once, and their changes are not replicated: ${named(tables)}`,
  remedy: alterTables(tables, "SET LOGGED"),
});
