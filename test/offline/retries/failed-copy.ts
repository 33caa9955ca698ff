import assert from "node:assert/strict";
import { Lab } from "../../support/lab";
import { Resource } from "../../support/resource";

/** The index `late` is refused with this SQLSTATE after all rows were copied. With {@link accepted}, it is built. */
const refusal = "test.refusal";
const accepted = "00000";

const schema = `
  CREATE FUNCTION tried(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
  BEGIN
    IF current_setting('${refusal}') <> '${accepted}' THEN
      RAISE EXCEPTION 'refused for a test' USING ERRCODE = current_setting('${refusal}');
    END IF;
    RETURN $1;
  END $$;
  CREATE TABLE keyed (id int PRIMARY KEY, v text); INSERT INTO keyed SELECT i, 'v' || i FROM generate_series(1, 3000) i;
  CREATE TABLE keyless (v text); INSERT INTO keyless SELECT 'v' || i FROM generate_series(1, 3000) i;
  CREATE TABLE refers (id int REFERENCES keyed, n serial); INSERT INTO refers SELECT i FROM generate_series(1, 100) i;
  CREATE INDEX late ON keyed (tried(id)); CREATE INDEX ON keyless (v);
  CREATE MATERIALIZED VIEW counted AS SELECT count(*) FROM keyed;
  SELECT lo_from_bytea(0, 'large')`;

/** A condition that is refused like `late`. In a string, because a check that calls the function is created after the rows. */
export const condition = "query_to_xml('SELECT public.tried(1)', true, true, '') IS NOT NULL";

/** A lab, and for each test of a `describe` a new database whose migration fails after its rows were copied. */
export class FailedCopy {
  database = "";
  resource = new Resource();
  #lab: Lab | undefined;

  constructor() {
    before(async () => {
      const parameters = { [refusal]: accepted, autovacuum: "off" };
      this.#lab = await Lab.start({ source: { parameters }, target: { parameters } });
    });
    beforeEach(async () => {
      this.database = await this.lab.database(schema);
      this.resource = new Resource();
    });
    afterEach(async () => {
      await this.resource.destroy();
      await this.refuse(accepted);
    });
    after(() => this.#lab?.stop());
  }

  get lab(): Lab {
    if (!this.#lab) throw new Error("the lab runs only during its tests");
    return this.#lab;
  }

  /** From now on the target refuses the index. */
  async refuse(sqlState: string): Promise<void> {
    await this.lab.target.query(`ALTER SYSTEM SET ${refusal} = '${sqlState}'`);
    await this.lab.target.query("SELECT pg_reload_conf()");
  }

  /** @returns the error of the first attempt. The target then accepts the index. */
  async fail(sqlState: string, changes: Record<string, unknown> = {}): Promise<string> {
    await this.refuse(sqlState);
    const failure = await Resource.failure(this.resource.create(this.lab.inputs([this.database], changes)));
    assert.match(failure, /refused for a test/);
    await this.refuse(accepted);
    return failure;
  }

  /** Identifies the copied rows: the files of their tables, and the transactions that inserted them. */
  rowsOnTarget(): Promise<unknown> {
    return this.lab.target.query(
      `SELECT 'keyed' AS name, pg_relation_filenode('keyed') AS file, min(xmin::text) AS first, max(xmin::text) AS last FROM keyed
       UNION ALL SELECT 'keyless', pg_relation_filenode('keyless'), min(xmin::text), max(xmin::text) FROM keyless
       UNION ALL SELECT 'refers', pg_relation_filenode('refers'), min(xmin::text), max(xmin::text) FROM refers`,
      { database: this.database },
    );
  }

  async events(): Promise<string> {
    const rows = await this.lab.target.query<{ message: string }>(
      "SELECT message FROM pgmigration.event WHERE database = $1 ORDER BY id",
      { values: [this.database] },
    );
    return rows.map(({ message }) => message).join("\n");
  }

  onSource(sql: string): Promise<unknown> {
    return this.lab.querySource(this.database, sql);
  }

  onTarget(sql: string): Promise<unknown> {
    return this.lab.queryTarget(this.database, sql);
  }
}
