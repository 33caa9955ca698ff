import assert from "node:assert/strict";
import { assertFinding, findingLines, findingText, findingsOf } from "../support/findings";
import { Lab } from "../support/lab";
import { connect } from "../../provider/src/postgres/connection/connect";
import { rolesLock } from "../../provider/src/worker/run/migrate-roles";
import { assertSameContent } from "../support/content";
import { Resource } from "../support/resource";
import { until } from "../support/until";

const roles = `
  CREATE ROLE team NOLOGIN CREATEDB CONNECTION LIMIT 7; CREATE ROLE "Mary Ann" LOGIN PASSWORD 'secret of mary' VALID UNTIL '2099-01-01';
  CREATE ROLE chief LOGIN SUPERUSER PASSWORD 'secret of chief'; CREATE ROLE stranger NOINHERIT;
  GRANT team TO "Mary Ann" WITH ADMIN TRUE, INHERIT FALSE, SET TRUE; GRANT team TO stranger; GRANT pg_read_all_data TO team;
  ALTER ROLE team SET work_mem = '8MB'; ALTER ROLE team SET search_path = "A b", public;`;

/** Grants by the former owner, which the server then attributes to the present one, and by a grantee. */
const regranted = (relation: string): string => `
  ALTER TABLE ${relation} OWNER TO former; SET ROLE former; GRANT SELECT ON ${relation} TO reader WITH GRANT OPTION;
  GRANT UPDATE (v) ON ${relation} TO clerk; REVOKE DELETE ON ${relation} FROM former; SET ROLE reader;
  GRANT SELECT ON ${relation} TO clerk; RESET ROLE; ALTER TABLE ${relation} OWNER TO present`;

/** MAINTAIN exists from 17 on. */
const privileges = `
  SELECT c.relname, '' AS column, a.grantor::regrole::text, a.grantee::regrole::text, a.privilege_type, a.is_grantable
    FROM pg_class c, aclexplode(c.relacl) a WHERE c.relname LIKE 'granted%' AND a.privilege_type <> 'MAINTAIN'
  UNION ALL
  SELECT c.relname, t.attname, a.grantor::regrole::text, a.grantee::regrole::text, a.privilege_type, a.is_grantable
    FROM pg_class c JOIN pg_attribute t ON t.attrelid = c.oid, aclexplode(t.attacl) a WHERE c.relname LIKE 'granted%'
   ORDER BY 1, 2, 3, 4, 5`;

describe("roles", () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.start({ source: { major: 16 }, target: { major: 18 } });
    await lab.source.query(roles);
  });
  after(() => lab.stop());

  it("that two migrations create on one target at the same time are not reported as refused", async () => {
    await lab.source.query("CREATE ROLE common");
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY)");
    const other = await connect(
      { ...lab.administrator, sslMode: "Disable" },
      { database: "postgres", purpose: "other" },
    );
    const resource = new Resource();
    await other.query(`SELECT pg_advisory_lock(${rolesLock}); BEGIN; CREATE ROLE common`);
    const created = resource.create(lab.inputs([database], { migrateRoles: true }));
    created.catch(() => undefined);
    try {
      const isWaiting = `SELECT FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'
        UNION ALL SELECT FROM pgmigration.event WHERE message LIKE 'waiting for the lock of another migration of roles%held by session%'`;
      await until("the migration waits", () =>
        lab.target.query(isWaiting).then(
          (rows) => rows.length > 0,
          () => false,
        ),
      );
      await other.query("COMMIT");
    } finally {
      await other.end();
    }
    await created;
    assert.doesNotMatch(findingLines(await resource.refresh()), /role common: the role was not created/);
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  });

  it("have the privileges of the source, and grantors, where the owner changed before or after the copy", async () => {
    await lab.source.query("CREATE ROLE former; CREATE ROLE present; CREATE ROLE reader; CREATE ROLE clerk");
    const table = (name: string): string => `CREATE TABLE ${name} (id int PRIMARY KEY, v text)`;
    const database = await lab.database(
      `${table("granted_before")}; ${regranted("granted_before")}; ${table("granted_after")}`,
    );
    const resource = new Resource();
    await resource.create(lab.inputs([database], { migrationMode: "Online", migrateRoles: true }));
    await lab.source.query(`${regranted("granted_after")}; ${table("granted_new")}; ${regranted("granted_new")}`, {
      database,
    });
    await resource.update({ triggerCutover: true });
    assert.equal(resource.status.state, "Succeeded");
    const wanted = await lab.source.query(privileges, { database });
    assert.equal(wanted.length, 3 * 9);
    assert.deepEqual(await lab.target.query(privileges, { database }), wanted);
    await resource.destroy();
  });

  it("report on every attempt what they lack, and keep LOGIN without a password, comments and rights", async () => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY)");
    await lab.source.query(
      `CREATE ROLE by_certificate LOGIN; COMMENT ON ROLE by_certificate IS 'logs in by certificate';
       CREATE ROLE replicator LOGIN REPLICATION BYPASSRLS SUPERUSER PASSWORD 'r'`,
    );
    const query = (sql: string): Promise<Record<string, unknown>[]> => lab.target.query(sql);
    const attributes = (): Promise<Record<string, unknown>[]> =>
      query(`SELECT rolname, rolcanlogin, rolreplication, rolbypassrls, shobj_description(oid, 'pg_authid') AS comment
               FROM pg_roles WHERE rolname IN ('by_certificate', 'replicator') ORDER BY 1`);
    for (const attempt of [1, 2]) {
      const resource = new Resource();
      await resource.create(lab.inputs([database], { migrateRoles: true, overwriteDbsInTarget: true }));
      const findings = findingsOf(resource.status).map(findingText).join("\n");
      assert.match(findings, /role replicator: it lacks SUPERUSER, BYPASSRLS on/, `attempt ${attempt}`);
      assert.doesNotMatch(findings, /role by_certificate/);
      await resource.destroy();
    }
    const comment = "logs in by certificate";
    assert.deepEqual(await attributes(), [
      { rolname: "by_certificate", rolcanlogin: true, rolreplication: false, rolbypassrls: false, comment },
      { rolname: "replicator", rolcanlogin: true, rolreplication: true, rolbypassrls: false, comment: null },
    ]);
    await query("DROP ROLE replicator; DROP ROLE by_certificate");
    const resource = new Resource();
    const inputs = lab.inputs([database], { migrateRoles: true, overwriteDbsInTarget: true });
    await resource.create({ ...inputs, target: { ...lab.target.login, sslMode: "Disable" } });
    assertFinding(resource.status, /role replicator: it lacks SUPERUSER on/);
    assert.deepEqual(await attributes(), [
      { rolname: "by_certificate", rolcanlogin: true, rolreplication: false, rolbypassrls: false, comment },
      { rolname: "replicator", rolcanlogin: true, rolreplication: true, rolbypassrls: true, comment: null },
    ]);
    await resource.destroy();
  });
});
