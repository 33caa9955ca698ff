import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import pg, { escapeIdentifier, escapeLiteral, type Client } from "pg";
import { assertSameContent } from "../support/content";
import { isAlive } from "../support/is-alive";
import { Lab } from "../support/lab";
import type { Resource } from "../support/resource";
import { Seeded, seed } from "../support/seeded";
import { until } from "../support/until";
import type { VersionPair } from "../support/servers/version-pairs";
import { assertSameDefinitions } from "./same-definitions";

const stepsOfRound = 12;
const longestBeforeKillMs = 4000;

/** Cuts over immediately after random changes of the source's schema and rows. Kills the worker of every second migration. */
export function cutOverAfterRandomSchemaChanges({ from, to }: VersionPair, sequences: number): void {
  describe(`random schema changes from PostgreSQL ${from} to ${to}`, () => {
    let lab: Lab;
    before(async () => {
      lab = await Lab.start({ source: { major: from }, target: { major: to } });
    });
    after(() => lab.stop());

    for (let one = 0; one < sequences; one++)
      it(`are carried to the cutover without a pause (PG_MIGRATION_TEST_SEED=${seed + one})`, async () => {
        const random = new Seeded(seed + one);
        const database = await lab.database(startSchema);
        const resource = await lab.follow([database]);
        const source = await lab.source.connect(database);
        const changes = new RandomSchemaChanges(source, random);
        try {
          for (let round = 0; round < 2; round++) {
            await changes.run(stepsOfRound);
            if (round === 0 && random.oneIn(2)) await reachTarget(lab, database, source);
          }
          await cutOver(resource, random);
          await assertSameContent(...lab.places(database));
          await assertSameDefinitions(...lab.places(database));
        } catch (error) {
          const events = await eventsOf(lab, database);
          throw new Error(`after:\n${changes.statements.join(";\n")};\nevents:\n${events}`, { cause: error });
        } finally {
          await source.end();
          await resource.destroy();
        }
      });
  });
}

const startSchema = `
  CREATE SCHEMA app; CREATE TABLE marks (id int PRIMARY KEY);
  ${[0, 1, 2, 3].map((one) => `CREATE TABLE t${one} (id int PRIMARY KEY, a int, b varchar(20)); INSERT INTO t${one} SELECT i, i, 'row of t${one}' FROM generate_series(1, 20) i;`).join("\n")}
  CREATE TABLE p (id int, k int, v text, PRIMARY KEY (id, k)) PARTITION BY RANGE (k);
  CREATE TABLE p0 PARTITION OF p FOR VALUES FROM (0) TO (100); INSERT INTO p SELECT i, i, 'row of p' FROM generate_series(1, 20) i;
  CREATE VIEW shown AS SELECT 1 AS one; CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1'`;

/** Kills the worker before the cutover or during it, or not at all. */
async function cutOver(resource: Resource, random: Seeded): Promise<void> {
  const killAfterMs = random.oneIn(2) ? random.below(longestBeforeKillMs) : undefined;
  const isDuringCutover = random.oneIn(2);
  const kill = async (): Promise<void> => {
    await sleep(killAfterMs);
    const { pid } = (await resource.refresh()).worker;
    if (pid !== undefined && isAlive(pid)) process.kill(pid, "SIGKILL");
  };
  if (killAfterMs !== undefined && !isDuringCutover) await kill();
  const killing = killAfterMs !== undefined && isDuringCutover ? kill() : undefined;
  const [status] = await Promise.all([resource.update({ triggerCutover: true }), killing]);
  assert.equal(status.state, "Succeeded");
}

async function eventsOf(lab: Lab, database: string): Promise<string> {
  const events = await lab.target.query<{ message: string }>(
    "SELECT message FROM pgmigration.event WHERE database = $1 ORDER BY id",
    { values: [database] },
  );
  return events.map(({ message }) => message).join("\n");
}

/** Waits until the stream has applied all changes so far. */
async function reachTarget(lab: Lab, database: string, source: Client): Promise<void> {
  await source.query("INSERT INTO marks VALUES (1)");
  await until("the first changes are applied", async () => (await lab.queryTarget(database, "TABLE marks")).length > 0);
}

interface Relation {
  readonly schema: string;
  readonly name: string;
  readonly kind: string;
  /** The partitioned table, if it is a partition. */
  readonly parent: string | null;
  readonly columns: readonly { readonly name: string; readonly type: string }[];
  /** Indexes without a constraint. */
  readonly indexes: readonly string[];
  /** Checks and unique constraints. */
  readonly constraints: readonly string[];
}

const relationsOfSource = `
  SELECT quote_ident(n.nspname) AS schema, quote_ident(c.relname) AS name, c.relkind AS kind,
         (SELECT inhparent::regclass::text FROM pg_inherits WHERE inhrelid = c.oid) AS parent,
         (SELECT json_agg(json_build_object('name', attname, 'type', format_type(atttypid, atttypmod)) ORDER BY attnum)
            FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped AND attgenerated = '') AS columns,
         array(SELECT i.relname::text FROM pg_index JOIN pg_class i ON i.oid = indexrelid
                WHERE indrelid = c.oid AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid) ORDER BY 1) AS indexes,
         array(SELECT conname::text FROM pg_constraint WHERE conrelid = c.oid AND contype IN ('c', 'u') AND conislocal ORDER BY 1) AS constraints
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE n.nspname IN ('public', 'app') AND c.relkind IN ('r', 'p') AND c.relname <> 'marks' ORDER BY 1, 2`;

const nameOf = ({ schema, name }: Relation): string => `${schema}.${name}`;

/** Each returns statements, or undefined if the source has no object for them. */
type Change = (changes: RandomSchemaChanges) => string | undefined;

const schemaChanges: readonly Change[] = [
  (all) => `ALTER TABLE ${nameOf(all.table())} RENAME TO ${all.fresh("t")}`,
  (all) => {
    const [one, other] = [all.table(), all.table()];
    if (one.name === other.name || one.schema !== other.schema) return undefined;
    const aside = `${one.schema}.${all.fresh("aside")}`;
    return `BEGIN; ALTER TABLE ${nameOf(one)} RENAME TO ${aside.split(".")[1]!}; ALTER TABLE ${nameOf(other)} RENAME TO ${one.name}; ALTER TABLE ${aside} RENAME TO ${other.name}; COMMIT`;
  },
  (all) => {
    const table = all.table();
    return `ALTER TABLE ${nameOf(table)} SET SCHEMA ${table.schema === "app" ? "public" : "app"}`;
  },
  (all) => `ALTER TABLE ${nameOf(all.table())} ADD COLUMN ${all.fresh("c")} int`,
  (all) => `ALTER TABLE ${nameOf(all.table())} ADD COLUMN ${all.fresh("c")} int NOT NULL DEFAULT 7`,
  (all) => `ALTER TABLE ${nameOf(all.table())} ADD COLUMN ${all.fresh("c")} varchar(20) DEFAULT 'given'`,
  (all) => `ALTER TABLE ${nameOf(all.table())} ADD COLUMN ${all.fresh("c")} int GENERATED ALWAYS AS (id * 2) STORED`,
  (all) => {
    const table = all.table();
    const { name } = all.random.pick(table.columns);
    return `ALTER TABLE ${nameOf(table)} RENAME ${name} TO ${name === "id" || name === "k" ? name : all.fresh("r")}`;
  },
  (all) => {
    const table = all.table();
    const { name, type } = all.random.pick(table.columns);
    const wider = { integer: "bigint", bigint: "numeric", "character varying(20)": "text" }[type];
    return wider && `ALTER TABLE ${nameOf(table)} ALTER ${name} TYPE ${wider}`;
  },
  (all) => `CREATE TABLE public.${all.fresh("t")} (id int PRIMARY KEY, a int, b varchar(20) DEFAULT 'created')`,
  (all) => {
    const tables = all.relations.filter(({ kind, parent }) => kind === "r" && parent === null);
    return tables.length < 3 ? undefined : `DROP TABLE ${nameOf(all.random.pick(tables))}`;
  },
  (all) => {
    const parent = all.relations.find(({ kind }) => kind === "p")!;
    const from = all.number() * 100;
    return `CREATE TABLE ${all.fresh("p")} PARTITION OF ${nameOf(parent)} FOR VALUES FROM (${from}) TO (${from + 100})`;
  },
  (all) => {
    const partitions = all.relations.filter(({ parent }) => parent !== null);
    if (partitions.length < 2) return undefined;
    const partition = all.random.pick(partitions);
    return `ALTER TABLE ${partition.parent!} DETACH PARTITION ${nameOf(partition)}`;
  },
  (all) => {
    const parent = all.relations.find(({ kind }) => kind === "p")!;
    const [name, from] = [all.fresh("p"), all.number() * 100];
    return `CREATE TABLE ${name} (LIKE ${nameOf(parent)} INCLUDING ALL); INSERT INTO ${name} (id, k) VALUES (${all.number()}, ${from});
            ALTER TABLE ${nameOf(parent)} ATTACH PARTITION ${name} FOR VALUES FROM (${from}) TO (${from + 100})`;
  },
  (all) => {
    const table = all.table();
    return `CREATE INDEX ${all.fresh("i")} ON ${nameOf(table)} (${all.random.pick(table.columns).name})`;
  },
  (all) => {
    const { schema, indexes } = all.table();
    return indexes.length === 0 ? undefined : `DROP INDEX ${schema}.${all.random.pick(indexes)}`;
  },
  (all) => {
    const { schema, indexes } = all.table();
    return indexes.length === 0
      ? undefined
      : `ALTER INDEX ${schema}.${all.random.pick(indexes)} RENAME TO ${all.fresh("i")}`;
  },
  (all) => `ALTER TABLE ${nameOf(all.table())} ADD CONSTRAINT ${all.fresh("checked")} CHECK (id > 0)`,
  (all) => {
    const table = all.table();
    const { name } = all.random.pick(table.columns);
    return `ALTER TABLE ${nameOf(table)} ADD CONSTRAINT ${all.fresh("unique")} UNIQUE (id, k, ${name})`.replace(
      table.kind === "p" ? /$^/ : "k, ",
      "",
    );
  },
  (all) => {
    const table = all.table();
    return table.constraints.length === 0
      ? undefined
      : `ALTER TABLE ${nameOf(table)} DROP CONSTRAINT ${all.random.pick(table.constraints)}`;
  },
  (all) => `CREATE OR REPLACE VIEW shown AS SELECT ${all.number()} AS one`,
  (all) => `CREATE VIEW ${all.fresh("v")} AS SELECT id FROM ${nameOf(all.table())}`,
  (all) => `CREATE OR REPLACE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT ${all.number()}'`,
  (all) => `COMMENT ON TABLE ${nameOf(all.table())} IS ${escapeLiteral(all.fresh("comment"))}`,
  (all) => `GRANT SELECT ON ${nameOf(all.table())} TO pg_monitor`,
];

const rowChanges: readonly Change[] = [
  (all) => {
    const table = all.relation();
    const isPartitioned = table.columns.some(({ name }) => name === "k");
    const id = all.number() + 1000;
    return isPartitioned
      ? `INSERT INTO ${nameOf(table)} (id, k) VALUES (${id}, ${all.random.below(100)})`
      : `INSERT INTO ${nameOf(table)} (id) SELECT ${id} + i * 100000 FROM generate_series(1, 3) i`;
  },
  (all) => {
    const table = all.relation();
    const { name, type } = all.random.pick(table.columns);
    if (name === "id" || name === "k") return undefined;
    const value = /int|numeric/.test(type) ? all.number() : escapeLiteral(`v${all.number()}`);
    return `UPDATE ${nameOf(table)} SET ${escapeIdentifier(name)} = ${value} WHERE id % 3 = ${all.random.below(3)}`;
  },
  (all) => `DELETE FROM ${nameOf(all.relation())} WHERE id % 7 = ${all.random.below(7)}`,
];

class RandomSchemaChanges {
  readonly statements: string[] = [];
  relations: readonly Relation[] = [];
  #number = 0;

  constructor(
    readonly source: Client,
    readonly random: Seeded,
  ) {}

  /** Runs this many changes of the schema, and changes of rows before and after each. */
  async run(steps: number): Promise<void> {
    for (let step = 0; step < steps; step++) {
      await this.#change(schemaChanges);
      for (let rows = this.random.below(3); rows > 0; rows--) await this.#change(rowChanges);
    }
  }

  number(): number {
    return ++this.#number;
  }

  /** A name that no other object has. */
  fresh(prefix: string): string {
    return `${prefix}_${this.number()}`;
  }

  relation(): Relation {
    return this.random.pick(this.relations);
  }

  /** A table that is no partition. */
  table(): Relation {
    return this.random.pick(this.relations.filter(({ parent }) => parent === null));
  }

  async #change(kinds: readonly Change[]): Promise<void> {
    this.relations = (await this.source.query<Relation>(relationsOfSource)).rows;
    const sql = this.random.pick(kinds)(this);
    if (sql === undefined) return;
    try {
      await this.source.query(sql);
      this.statements.push(sql);
    } catch (error) {
      // The source refuses it, for example because a view needs the column.
      if (!(error instanceof pg.DatabaseError)) throw error;
      await this.source.query("ROLLBACK");
    }
  }
}
