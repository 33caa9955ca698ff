import type { Client } from "pg";
import type { MigrationSpec } from "../../inputs/inputs.js";
import type { Table } from "../../postgres/tables.js";
import type { FollowedByOid } from "./followed-parts.js";
import type { FollowedTables } from "./followed-tables.js";
import type { FollowedSchemas } from "./renamed-schemas.js";
import type { FollowedRules } from "./rule-drift.js";
import type { SchemaBaseline } from "./schema-baseline.js";

/** Where the objects of the source are on the target, by OIDs. Names change on both sides. Plain JSON. */
export interface Counterparts {
  readonly followedColumns: FollowedByOid;
  /** Types with their attributes. */
  readonly followedTypes: FollowedByOid;
  readonly followedRules: FollowedRules;
  readonly followedSchemas: FollowedSchemas;
}

/** Also contains the counterparts that are known. */
export interface Shapes extends Counterparts {
  readonly source: Client;
  readonly target: Client;
  /** The source's tables in scope, and those of the target. */
  readonly sourceTables: readonly Table[];
  readonly targetTables: readonly Table[];
  /** The tables whose changes are applied to the target. */
  readonly followed: FollowedTables;
  /** The source's schema when it was last applied to the target; undefined if it was not recorded. */
  readonly mark: SchemaBaseline | undefined;
  /** Qualified names of the tables that are copied again. */
  readonly outdated: ReadonlySet<string>;
  /** With `pause`, the operator runs every statement. */
  readonly schemaChanges: MigrationSpec["schemaChanges"];
}

interface Pair {
  readonly table: Table;
  readonly targetTable: Table;
}

export interface PairedTables {
  /** With the schema names that the target still has. */
  readonly sourceTables: readonly Table[];
  /** The tables of the target and of the source, by their names on the target. */
  readonly onTarget: ReadonlyMap<string, Table>;
  readonly onSource: ReadonlyMap<string, Table>;
  readonly pairs: readonly Pair[];
  readonly newTables: readonly Table[];
  /** Copies on the target whose table was dropped or renamed on the source. */
  readonly removed: readonly Table[];
  /** By the copy: the table on the source that was renamed. */
  readonly renamed: ReadonlyMap<Table, Table>;
}
