import assert from "node:assert/strict";
import { assertFinding } from "../support/findings";
import { Lab } from "../support/lab";
import { connect } from "../../provider/src/postgres/connection/connect";
import { migrateRoles } from "../../provider/src/schema/database/roles";
import { Resource } from "../support/resource";

const roles = `
  CREATE ROLE team NOLOGIN CREATEDB CONNECTION LIMIT 7; CREATE ROLE "Mary Ann" LOGIN PASSWORD 'secret of mary' VALID UNTIL '2099-01-01';
  CREATE ROLE chief LOGIN SUPERUSER PASSWORD 'secret of chief'; CREATE ROLE stranger NOINHERIT;
  GRANT team TO "Mary Ann" WITH ADMIN TRUE, INHERIT FALSE, SET TRUE; GRANT team TO stranger; GRANT pg_read_all_data TO team;
  ALTER ROLE team SET work_mem = '8MB'; ALTER ROLE team SET search_path = "A b", public;`;

const schema = `
  CREATE TABLE t (id int PRIMARY KEY); ALTER TABLE t OWNER TO team; GRANT SELECT ON t TO "Mary Ann";
  ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON t TO stranger USING (true);
  DO $$ BEGIN EXECUTE format('ALTER ROLE team IN DATABASE %I SET work_mem = ''9MB''', current_database()); END $$`;

describe("roles", () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.start({ source: { major: 16 }, target: { major: 18 } });
    await lab.source.query(roles);
  });
  after(() => lab.stop());

  it("are created with memberships, settings and passwords, without superuser attributes", async () => {
    const database = await lab.database(schema);
    const resource = new Resource();
    await resource.create(lab.inputs([database], { migrateRoles: true }));
    const query = (sql: string): Promise<Record<string, unknown>[]> => lab.target.query(sql, { database });
    assert.deepEqual(
      await query(`SELECT rolname, rolcanlogin, rolsuper, rolcreatedb, rolinherit, rolconnlimit FROM pg_roles
                    WHERE rolname IN ('team', 'Mary Ann', 'chief', 'stranger') ORDER BY 1`),
      [
        ["Mary Ann", true, false, false, true, -1],
        ["chief", true, false, false, true, -1],
        ["stranger", false, false, false, false, -1],
        ["team", false, false, true, true, 7],
      ].map(([rolname, rolcanlogin, rolsuper, rolcreatedb, rolinherit, rolconnlimit]) => ({
        rolname,
        rolcanlogin,
        rolsuper,
        rolcreatedb,
        rolinherit,
        rolconnlimit,
      })),
    );
    assert.deepEqual(
      await query(`SELECT admin_option, inherit_option, set_option FROM pg_auth_members
                    WHERE roleid = 'team'::regrole AND member = '"Mary Ann"'::regrole`),
      [{ admin_option: true, inherit_option: false, set_option: true }],
    );
    assert.deepEqual(
      await query(`SELECT setdatabase <> 0 AS "inDatabase", unnest(setconfig) AS setting FROM pg_db_role_setting
                    WHERE setrole = 'team'::regrole ORDER BY 1, 2`),
      [
        { inDatabase: false, setting: 'search_path="A b", public' },
        { inDatabase: false, setting: "work_mem=8MB" },
        { inDatabase: true, setting: "work_mem=9MB" },
      ],
    );
    assert.deepEqual(await query("SELECT tableowner FROM pg_tables WHERE tablename = 't'"), [{ tableowner: "team" }]);
    assert.deepEqual(await query("SELECT roles::text FROM pg_policies"), [{ roles: "{stranger}" }]);
    await lab.target.query("SELECT FROM t", { database, login: { user: "Mary Ann", password: "secret of mary" } });
    const status = JSON.stringify(resource.status);
    assert.match(status, /role chief: it lacks SUPERUSER/);
    assert.match(status, /member of pg_read_all_data/);
    assert(!status.includes("SCRAM-SHA-256$"), "no password hash is reported");
    await resource.destroy();
  });

  it("get NOLOGIN if their passwords cannot be read", async () => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY)");
    await lab.source.query(
      `CREATE ROLE late LOGIN PASSWORD 'late'; CREATE ROLE entitled LOGIN PASSWORD 'entitled'; GRANT SELECT ON t TO entitled`,
      { database },
    );
    const resource = new Resource();
    const inputs = lab.inputs([database], { migrateRoles: true });
    const source = { ...(inputs.source as object), user: "entitled", password: "entitled" };
    await resource.create({ ...inputs, source });
    const rows = await lab.target.query("SELECT rolcanlogin FROM pg_roles WHERE rolname = 'late'");
    assert.deepEqual(rows, [{ rolcanlogin: false }]);
    assertFinding(resource.status, /role late: its password could not be read/);
    await resource.destroy();
  });

  it("of Microsoft Entra are created by an Entra administrator of the target, never as administrators", async () => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY); ALTER TABLE t OWNER TO team");
    const label = "aadauth,oid=11111111-2222-3333-4444-555555555555,type=service,admin";
    const labelled = (role: string, given: string): string =>
      `INSERT INTO pg_shseclabel (objoid, classoid, provider, label)
       SELECT oid, 'pg_authid'::regclass, 'pgaadauth', '${given}' FROM pg_roles WHERE rolname = '${role}'`;
    await lab.source.query(`CREATE ROLE "id-app" LOGIN; ${labelled("id-app", label)};
                            CREATE ROLE azure_ad_user; CREATE ROLE "ada@contoso.com" LOGIN IN ROLE azure_ad_user`);
    // Stand-ins for the functions of a flexible server. They record their arguments as comments.
    const create = (name: string, parameters: string, note: string): string => `
      CREATE FUNCTION ${name}(role text, ${parameters}admin bool, mfa bool) RETURNS text SECURITY DEFINER LANGUAGE plpgsql AS $$
      BEGIN
        EXECUTE format('CREATE ROLE %I LOGIN', role);
        EXECUTE format('COMMENT ON ROLE %I IS %L', role, concat_ws(' ', ${note}, admin, mfa));
        RETURN role;
      END $$;`;
    await lab.target.query(
      create("pgaadauth_create_principal", "", "'by name'") +
        create("pgaadauth_create_principal_with_oid", "id text, type text, ", "id, type") +
        labelled(lab.administrator.user, "aadauth,oid=99999999-2222-3333-4444-555555555555,type=user,admin"),
    );
    const resource = new Resource();
    await resource.create(lab.inputs([database], { migrateRoles: true }));
    const rows = await lab.target.query(
      `SELECT rolname, rolcanlogin, shobj_description(oid, 'pg_authid') AS made FROM pg_roles
        WHERE rolname IN ('id-app', 'ada@contoso.com') ORDER BY 1`,
    );
    assert.deepEqual(rows, [
      { rolname: "ada@contoso.com", rolcanlogin: true, made: "by name f f" },
      { rolname: "id-app", rolcanlogin: true, made: "11111111-2222-3333-4444-555555555555 service f f" },
    ]);
    await resource.destroy();
  });
});

describe("roles that exist on the target before the migration", () => {
  for (const major of [14, 18] as const)
    it(`on ${major} get neither members nor settings of the source, which are reported`, async () => {
      const lab = await Lab.start({ source: { major: 14 }, target: { major } });
      const open = (login: typeof lab.administrator) =>
        connect({ ...login, sslMode: "Disable" }, { database: "postgres", purpose: "test" });
      const [source, target] = [await open(lab.source.login), await open(lab.administrator)];
      try {
        await lab.target.query("CREATE ROLE payroll LOGIN", lab.onTarget("postgres"));
        await lab.source.query(`CREATE ROLE mallory LOGIN CREATEROLE PASSWORD 'm'; SET SESSION AUTHORIZATION mallory;
          CREATE ROLE payroll; GRANT payroll TO mallory WITH ADMIN OPTION; ALTER ROLE payroll SET search_path = evil;
          COMMENT ON ROLE payroll IS 'hers'; CREATE ROLE azure_pg_admin; GRANT azure_pg_admin TO mallory;
          CREATE ROLE team; GRANT team TO mallory; GRANT team TO payroll`);
        const findings = (await migrateRoles(source, target, [])).map(
          ({ code, message, remedy }) => `${code} ${message}: ${remedy}`,
        );
        const admin = major >= 16 ? "ADMIN TRUE" : "ADMIN OPTION";
        const expected = [
          /PGM-703 role payroll: its comment was not migrated: the role existed on the target before/,
          /603707 role mallory: it is not a member of azure_pg_admin as on the source: .* GRANT "azure_pg_admin" TO "mallory"/,
          new RegExp(
            `603705 role mallory: it is not a member of payroll .*: GRANT "payroll" TO "mallory" WITH ${admin}`,
          ),
          /PGM-703 role payroll: its setting search_path was left out: the role existed .*: ALTER ROLE "payroll" SET/,
        ];
        for (const one of expected)
          assert(
            findings.some((text) => one.test(text)),
            `${one} in ${findings.join("\n")}`,
          );
        // Before 16 she could grant herself every role.
        assert.equal(
          findings.some((text) => /role mallory: it lacks CREATEROLE/.test(text)),
          major < 16,
        );
        const query = (sql: string): Promise<Record<string, unknown>[]> => lab.target.query(sql);
        const members = `SELECT roleid::regrole::text AS role, member::regrole::text FROM pg_auth_members
                          WHERE member::regrole::text IN ('mallory', 'payroll') ORDER BY 1, 2`;
        const ofTeam = ["mallory", "payroll"].map((member) => ({ role: "team", member }));
        assert.deepEqual(await query(members), ofTeam);
        assert.deepEqual(await query("SELECT rolconfig FROM pg_roles WHERE rolname = 'payroll'"), [
          { rolconfig: null },
        ]);
        assert.deepEqual(await query("SELECT shobj_description('payroll'::regrole, 'pg_authid') AS comment"), [
          { comment: null },
        ]);
        // A later attempt finds the roles and memberships that the first one created, and reports the same.
        const again = (await migrateRoles(source, target, [])).map(
          ({ code, message, remedy }) => `${code} ${message}: ${remedy}`,
        );
        assert.deepEqual(again, findings);
      } finally {
        await source.end();
        await target.end();
        await lab.stop();
      }
    });

  it("are no remains of a failed attempt, which creates either all roles with their memberships or none", async () => {
    const lab = await Lab.start({ source: { major: 14 } });
    const open = (login: typeof lab.administrator) =>
      connect({ ...login, sslMode: "Disable" }, { database: "postgres", purpose: "test" });
    const [source, target] = [await open(lab.source.login), await open(lab.administrator)];
    try {
      await lab.source.query("CREATE ROLE team; CREATE ROLE ada IN ROLE team");
      await lab.source.query("CREATE ROLE zoe");
      const query = target.query.bind(target) as (sql: string) => Promise<unknown>;
      target.query = ((sql: string, ...rest: []) => {
        if (/^GRANT "team"/.test(sql))
          return lab.target
            .query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE '%test'")
            .then(() => query(sql, ...rest));
        return query(sql, ...rest);
      }) as unknown as typeof target.query;
      await assert.rejects(migrateRoles(source, target, []), /the connection to the target was lost/);
      assert.deepEqual(await lab.target.query("SELECT FROM pg_roles WHERE rolname IN ('team', 'ada', 'zoe')"), []);
    } finally {
      await source.end();
      await target.end().catch(() => undefined);
      await lab.stop();
    }
  });
});
