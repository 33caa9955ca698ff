import assert from "node:assert/strict";
import type { Place } from "../../support/content";
import { Lab } from "../../support/lab";
import { Resource } from "../../support/resource";
import type { Login } from "../../support/servers/embedded-server";
import { until } from "../../support/until";

const schema = `
  CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v text);
  INSERT INTO t (v) VALUES ('first');
  CREATE MATERIALIZED VIEW m AS SELECT 1 AS one;
  GRANT ALL ON t TO PUBLIC`;

export const login = (name: string): Partial<Login> => ({ user: name, password: name });

/** For the tests of a `describe`: a lab, and for each test a new database and the resource that migrates it with a fence. */
export class FenceScene {
  database = "";
  resource = new Resource();
  /** Roles that write to the database. The superuser has no name. */
  readonly writers = [undefined, "clerk", "stubborn", "half"];
  #lab: Lab | undefined;

  constructor() {
    before(async () => {
      this.#lab = await Lab.start({ source: { major: 16, parameters: { max_prepared_transactions: 2 } } });
      await this.lab.source.query(
        `CREATE ROLE clerk LOGIN PASSWORD 'clerk'; CREATE ROLE stubborn LOGIN PASSWORD 'stubborn';
         ALTER ROLE stubborn SET default_transaction_read_only = off;
         CREATE ROLE half LOGIN PASSWORD 'half'; CREATE ROLE migrator LOGIN REPLICATION PASSWORD 'migrator'`,
      );
    });
    beforeEach(async () => {
      await this.newDatabase();
      await this.lab.source.query(
        `ALTER DATABASE ${this.database} SET default_transaction_read_only = 'false';
         ALTER ROLE half IN DATABASE ${this.database} SET default_transaction_read_only = 'no'`,
      );
      this.resource = new Resource();
    });
    after(() => this.#lab?.stop());
  }

  get lab(): Lab {
    if (!this.#lab) throw new Error("the lab runs only during its tests");
    return this.#lab;
  }

  /** Continues with another database, which has no settings. */
  async newDatabase(): Promise<void> {
    this.database = await this.lab.database(schema);
  }

  places(): [Place, Place] {
    return this.lab.places(this.database);
  }

  inputs(changes: Record<string, unknown> = {}): Record<string, unknown> {
    return this.lab.onlineInputs([this.database], { fence: "readOnly", ...changes });
  }

  /** The settings of the database on the source, which the fence changes. */
  settings(): Promise<Record<string, unknown>[]> {
    return this.lab.source.query(
      `SELECT r.rolname, s.setconfig FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase
         LEFT JOIN pg_roles r ON r.oid = s.setrole WHERE d.datname = '${this.database}' ORDER BY 1`,
    );
  }

  write(name?: string): Promise<unknown> {
    return this.lab.source.query("INSERT INTO t (v) VALUES ('later')", {
      database: this.database,
      ...(name ? { login: login(name) } : {}),
    });
  }

  async assertReadOnly(): Promise<void> {
    for (const name of this.writers)
      await assert.rejects(this.write(name), { code: "25006" }, `${name ?? "the superuser"} must not write`);
  }

  /** Delays the cutover after its LSN, at the refresh of a materialized view, while `during` runs. */
  async whileCutoverWaits(during: () => Promise<void>): Promise<void> {
    const obstacle = await this.lab.target.connect(this.database, this.lab.administrator);
    try {
      await obstacle.query("BEGIN; TABLE m");
      await this.resource.update({ triggerCutover: true, waitFor: "started" });
      await until("the cutover waits", async () => {
        const [row] = await this.lab.target.query<{ waiting: number }>(
          "SELECT count(*)::int AS waiting FROM pg_stat_activity WHERE query LIKE '%REFRESH%' AND wait_event_type = 'Lock'",
        );
        return row!.waiting > 0;
      });
      await during();
    } finally {
      await obstacle.end();
    }
  }

  async killWorker(): Promise<void> {
    const { worker } = await this.resource.refresh();
    process.kill(worker.pid!, "SIGKILL");
    await until("the lease is free", async () => (await this.resource.refresh()).worker.state === "lost");
  }
}
