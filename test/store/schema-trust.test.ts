import assert from "node:assert/strict";
import type { Client } from "pg";
import { initProgress } from "../../provider/src/cdc/target/progress";
import { takeAdvisoryLock } from "../../provider/src/store/advisory-lock";
import { hasRecords } from "../../provider/src/store/installation/installed-schema";
import { Store } from "../../provider/src/store/store";
import { Lab } from "../support/lab";

/** The owner of the records' tables, or of a trigger on them, could run code as each role that migrates. */
describe("records that another role made, changed or locked", () => {
  let lab: Lab;
  const open: Client[] = [];

  before(async () => {
    lab = await Lab.start();
    await lab.target.query("CREATE ROLE mallory LOGIN CREATEDB PASSWORD 'm'; CREATE ROLE owners");
    await lab.target.query("CREATE ROLE migrator LOGIN PASSWORD 'm'; GRANT CREATE ON DATABASE postgres TO migrator");
  });

  afterEach(async () => {
    await Promise.all(open.splice(0).map((client) => client.end()));
    await lab.target.query("DROP SCHEMA IF EXISTS pgmigration CASCADE");
    await lab.target.query("DROP DATABASE IF EXISTS pgmigration");
  });

  after(() => lab.stop());

  const mallory = () => ({ ...lab.administrator, user: "mallory", password: "m" });
  const superuser = () => ({ ...lab.target.login });

  const openAs = async (login = lab.administrator): Promise<void> => {
    const target = { ...login, sslMode: "Disable" as const };
    await (await Store.open({ target, maintenanceDatabase: "postgres" }, "test")).close();
  };

  const changes: readonly [string, string, RegExp][] = [
    ["a schema of another role", "ALTER SCHEMA pgmigration OWNER TO mallory", /the schema belongs to mallory/],
    ["a table of another role", "ALTER TABLE pgmigration.event OWNER TO mallory", /event belongs to mallory/],
    [
      "a trigger",
      `CREATE FUNCTION pg_temp.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
       CREATE TRIGGER own BEFORE INSERT ON pgmigration.migration FOR EACH ROW EXECUTE FUNCTION pg_temp.f()`,
      /migration has the trigger own/,
    ],
    ["a rule", "CREATE RULE r AS ON UPDATE TO pgmigration.migration DO ALSO SELECT 1", /migration has the rule r/],
    ["a policy", "CREATE POLICY p ON pgmigration.migration USING (true)", /migration has the policy p/],
    ["row-level security", "ALTER TABLE pgmigration.event ENABLE ROW LEVEL SECURITY", /event has row-level security/],
    [
      "a default",
      "ALTER TABLE pgmigration.migration ALTER error SET DEFAULT query_to_xml('SELECT 1', true, true, '')::text",
      /migration\.error has the default/,
    ],
    ["a check", "ALTER TABLE pgmigration.migration ADD CONSTRAINT c CHECK (length(name) > 0)", /has the constraint c/],
    ["an index", "CREATE INDEX i ON pgmigration.migration (lower(name))", /i is an index that calls a function/],
    ["a view", "CREATE VIEW pgmigration.v AS SELECT 1", /v is not a plain table/],
    [
      "a type",
      "CREATE DOMAIN public.d AS text; ALTER TABLE pgmigration.migration ADD own public.d",
      /migration\.own has the type public\.d/,
    ],
    ["a function", "CREATE FUNCTION pgmigration.f() RETURNS int LANGUAGE sql AS 'SELECT 1'", /the function f is in it/],
  ];
  for (const [what, sql, finding] of changes)
    it(`${what}: refused to a superuser as well`, async () => {
      await openAs(superuser());
      // A session's end drops its temporary function, and with it the trigger.
      const session = await lab.target.connect("postgres");
      open.push(session);
      await session.query(sql);
      await assert.rejects(openAs(superuser()), finding);
      await session.query("DROP DOMAIN IF EXISTS public.d CASCADE");
    });

  it("default privileges of the administrator: let no other role into the records or the progress", async () => {
    const byDefault = (action: string): string =>
      ["TABLES", "SCHEMAS"]
        .map((kind) => `ALTER DEFAULT PRIVILEGES FOR ROLE ${lab.administrator.user} ${action.replace("*", kind)}`)
        .join("; ");
    const privileges = async (): Promise<unknown> =>
      lab.target.query(
        `SELECT has_schema_privilege('mallory', 'pgmigration', 'USAGE') AS mallory,
                has_schema_privilege('owners', 'pgmigration', 'USAGE') AS owners`,
      );
    await lab.target.query(byDefault("GRANT ALL ON * TO mallory, PUBLIC"));
    const session = await lab.target.connect("postgres", lab.administrator);
    open.push(session);
    await initProgress(session, "m", 1, {
      slot: "s",
      consistentPoint: 1n,
      systemIdentifier: "1",
      timeline: 1,
    });
    assert.deepEqual(await privileges(), [{ mallory: false, owners: false }]);
    await session.query("DROP SCHEMA pgmigration CASCADE");
    await openAs();
    assert.deepEqual(await privileges(), [{ mallory: false, owners: false }]);
    await lab.target.query("GRANT USAGE ON SCHEMA pgmigration TO owners");
    await openAs();
    await initProgress(session, "m", 1, {
      slot: "s",
      consistentPoint: 1n,
      systemIdentifier: "1",
      timeline: 1,
    });
    assert.deepEqual(await privileges(), [{ mallory: false, owners: true }]);
    await lab.target.query(byDefault("REVOKE ALL ON * FROM mallory, PUBLIC"));
  });

  it("a store that mallory created before any migration: refused in the schema and in the database", async () => {
    await openAs(mallory());
    assert.equal((await lab.target.query("SELECT FROM pg_database WHERE datname = 'pgmigration'")).length, 1);
    const target = { ...lab.target.login, sslMode: "Disable" as const };
    const address = { target, maintenanceDatabase: "postgres" };
    await assert.rejects(Store.find(address, "test"), /the database belongs to mallory; the schema belongs to mallory/);
    await lab.target.query("DROP DATABASE pgmigration");
    await lab.target.query("CREATE SCHEMA pgmigration AUTHORIZATION mallory");
    await lab.target.query(`GRANT ALL ON SCHEMA pgmigration TO ${lab.administrator.user}`);
    await assert.rejects(openAs(), /the schema belongs to mallory/, "although it is empty");
  });

  it("a view that mallory gave the name of the records: is not read to look for records", async () => {
    const [name, login] = ["looked_for", lab.administrator];
    await lab.target.query(`CREATE DATABASE ${name} OWNER mallory`);
    await lab.target.query(
      `CREATE SCHEMA pgmigration; CREATE TABLE public.run_by (role text); GRANT INSERT ON public.run_by TO public;
       CREATE FUNCTION public.f() RETURNS text LANGUAGE sql AS 'INSERT INTO public.run_by VALUES (current_user) RETURNING role';
       CREATE VIEW pgmigration.migration AS SELECT public.f() AS name;
       GRANT USAGE ON SCHEMA pgmigration TO public; GRANT SELECT ON pgmigration.migration TO public`,
      { database: name, login: mallory() },
    );
    const looking = hasRecords({ ...login, sslMode: "Disable" }, name);
    await assert.rejects(looking, /looked_for of .* is not safe to use: the schema belongs to mallory/);
    assert.deepEqual(await lab.target.query("SELECT FROM public.run_by", { database: name }), []);
    await lab.target.query(`DROP DATABASE ${name}`);
  });

  const closings: readonly [string, string, RegExp][] = [
    ["REASSIGN OWNED", "REASSIGN OWNED BY migrator TO mallory", /the schema belongs to mallory/],
    ["REASSIGN OWNED to a superuser", "REASSIGN OWNED BY migrator TO postgres", /PGM-308: migrator lacks USAGE/],
    [
      "REVOKE of all privileges on a store of a superuser",
      `REASSIGN OWNED BY migrator TO postgres; GRANT USAGE ON SCHEMA pgmigration TO migrator;
       GRANT SELECT ON ALL TABLES IN SCHEMA pgmigration TO migrator;
       REVOKE ALL ON ALL TABLES IN SCHEMA pgmigration FROM migrator; REVOKE ALL ON SCHEMA pgmigration FROM migrator`,
      /PGM-308: migrator lacks USAGE/,
    ],
  ];
  for (const [what, sql, message] of closings)
    it(`${what}: the records do not look like removed ones`, async () => {
      const login = { ...lab.administrator, user: "migrator", password: "m" };
      await openAs(login);
      await lab.target.query(sql);
      const target = { ...login, sslMode: "Disable" as const };
      await assert.rejects(Store.find({ target, maintenanceDatabase: "postgres" }, "test"), message);
    });

  it("a store of a superuser, or of a role whose privileges ours inherits, is used", async () => {
    await openAs(superuser());
    await lab.target.query(`GRANT USAGE ON SCHEMA pgmigration TO ${lab.administrator.user}`);
    await openAs();
    await lab.target.query(`GRANT owners TO ${lab.administrator.user}; ALTER SCHEMA pgmigration OWNER TO owners`);
    await openAs();
  });

  it("a lock that another session holds: the wait ends, and names the session", async () => {
    const holder = await lab.target.connect("postgres");
    const waiter = await lab.target.connect("postgres");
    open.push(holder, waiter);
    await holder.query("SELECT pg_advisory_lock(42)");
    const lines: string[] = [];
    const wait = takeAdvisoryLock(waiter, "pg_try_advisory_lock(42)", 42, {
      reportAfterMs: 0,
      giveUpAfterMs: 500,
      report: (line) => lines.push(line),
    });
    const named = /held by session \d+ of postgres \(test\)/;
    await assert.rejects(
      wait,
      new RegExp(`was not free within 0\\.5 s: ${named.source}.*SELECT pg_terminate_backend\\(`, "s"),
    );
    assert.equal(lines.length, 1);
    assert.match(lines[0]!, named);
    await holder.query("SELECT pg_advisory_unlock(42)");
    await takeAdvisoryLock(waiter, "pg_try_advisory_lock(42)", 42);
  });
});
