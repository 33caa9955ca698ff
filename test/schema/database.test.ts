import assert from "node:assert/strict";
import type { Client } from "pg";
import type { RefusedError } from "../../provider/src/errors";
import { connect } from "../../provider/src/postgres/connection/connect";
import { quoteIdentifier } from "../../provider/src/postgres/identifiers";
import {
  createTargetDatabase,
  dropTargetDatabase,
  readDatabaseProperties,
} from "../../provider/src/schema/database/database";
import type { DatabaseProperties } from "../../provider/src/schema/database/database-properties";
import { usedDatabases } from "../../provider/src/schema/database/used-databases";
import { startAzureLikeServer } from "../support/servers/azure-like";
import { EmbeddedServer, type Login } from "../support/servers/embedded-server";

describe("a database on a managed server", () => {
  const name = 'Ü "quoted"';
  let source: EmbeddedServer;
  let server: EmbeddedServer;
  let administrator: Login;
  let target: Client;

  before(async () => {
    [source, { server, administrator }] = await Promise.all([
      EmbeddedServer.start({ major: 14 }),
      startAzureLikeServer({ major: 17 }),
    ]);
    target = await connect({ ...administrator, sslMode: "Disable" }, { database: "postgres", purpose: "test" });
  });

  after(async () => {
    await target.end();
    await source.stop();
    await server.stop();
  });

  afterEach(async () => dropTargetDatabase(target, name));

  async function read(login: Login, database: string): Promise<DatabaseProperties> {
    const client = await connect({ ...login, sslMode: "Disable" }, { database, purpose: "test" });
    try {
      return await readDatabaseProperties(client);
    } finally {
      await client.end();
    }
  }

  const plain: DatabaseProperties = {
    encoding: "UTF8",
    collate: "C",
    ctype: "C",
    provider: "libc",
    locale: undefined,
    icuRules: undefined,
    comment: undefined,
    settings: [],
    connectionLimit: -1,
    privileges: undefined,
  };

  it("is not dropped while a subscription uses it, which is 603700", async () => {
    await server.query("CREATE DATABASE kept");
    await server.query(`ALTER DATABASE kept OWNER TO ${administrator.user}`);
    await server.query("CREATE SUBSCRIPTION busy CONNECTION '' PUBLICATION p WITH (connect = false)", {
      database: "kept",
    });
    await assert.rejects(dropTargetDatabase(target, "kept"), (error: RefusedError) => {
      assert.match(error.message, /^603700: .*kept cannot be dropped/);
      assert.match(error.remedy!, /drop its replication slots and subscriptions/);
      return true;
    });
    await server.query("ALTER SUBSCRIPTION busy SET (slot_name = NONE)", { database: "kept" });
    await server.query("DROP SUBSCRIPTION busy", { database: "kept" });
    await dropTargetDatabase(target, "kept");
  });

  it("is writable although the source is fenced", async () => {
    const setting = { name: "default_transaction_read_only", role: undefined };
    const settings = [
      { ...setting, value: "on" },
      { ...setting, name: "work_mem", value: "5MB" },
    ];
    const findings = await createTargetDatabase(target, name, { ...plain, settings });
    assert.match(findings.map(({ message }) => message).join(), /^default_transaction_read_only = on.* was left out$/);
    assert.deepEqual((await read(administrator, name)).settings, [settings[1]]);
  });

  it("has lists of names as the server reads them, whatever a role has set for itself", async () => {
    await source.query("CREATE DATABASE odd");
    const path = `a'b, c/*d ,e--f, "x, ""y'", $$g`;
    await source.query(
      `SELECT set_config('search_path', $_$${path}$_$, false); ALTER DATABASE odd SET search_path FROM CURRENT`,
      { database: "odd" },
    );
    const schemas = ["a'b", "c/*d", "e--f", `x, "y'`, "$$g"];
    await createTargetDatabase(target, name, await read(source.login, "odd"));
    const client = await server.connect(name, administrator);
    try {
      for (const schema of schemas) await client.query(`CREATE SCHEMA ${quoteIdentifier(schema)}`);
      const { rows } = await client.query<{ found: string[] }>("SELECT current_schemas(false)::text[] AS found");
      assert.deepEqual(rows[0]!.found, schemas);
    } finally {
      await client.end();
    }
  });

  it("has the settings and privileges of the source's", async () => {
    await source.query(`CREATE ROLE visitor; CREATE ROLE unknown`);
    await server.query(`CREATE ROLE visitor; GRANT visitor TO azureadmin WITH ADMIN TRUE`);
    await source.query(`CREATE DATABASE rich ENCODING LATIN1 TEMPLATE template0 CONNECTION LIMIT 42`);
    await source.query(
      `COMMENT ON DATABASE rich IS 'it''s';
       ALTER DATABASE rich SET search_path TO "$user", "Sales Data", public;
       ALTER DATABASE rich SET work_mem TO '5MB';
       ALTER DATABASE rich SET my.setting TO 'a=b, ''c''';
       ALTER ROLE visitor IN DATABASE rich SET work_mem TO '6MB';
       ALTER ROLE unknown IN DATABASE rich SET work_mem TO '7MB';
       REVOKE TEMPORARY ON DATABASE rich FROM PUBLIC;
       GRANT CREATE ON DATABASE rich TO visitor WITH GRANT OPTION`,
    );
    const properties = await read(source.login, "rich");
    const findings = await createTargetDatabase(target, name, properties);
    // Only a superuser may set parameters that no extension has declared.
    assert.deepEqual(
      findings.map(({ message }) => message),
      ['its setting my.setting was left out: permission denied to set parameter "my.setting"'],
    );
    // The records keep the finding, and the value may be a secret.
    assert.deepEqual(
      findings.map(({ remedy }) => remedy),
      [
        `as a role with the privilege, run: ALTER DATABASE ${quoteIdentifier(name)} SET "my"."setting" TO '<hidden value>'`,
      ],
    );
    const restored = await read(administrator, name);
    const known = properties.settings.filter((setting) => setting.role !== "unknown" && setting.name !== "my.setting");
    // The limit is set last, when the migration's own sessions have ended.
    assert.deepEqual(restored, { ...properties, settings: known, connectionLimit: -1 });
    assert.equal(known.length, 3);
    assert.equal(known.find((setting) => setting.name === "search_path")?.value, '"$user", "Sales Data", public');
  });

  it("reports settings that it could not set", async () => {
    const findings = await createTargetDatabase(target, name, {
      ...plain,
      settings: [{ role: undefined, name: "log_statement", value: "all" }],
      privileges: [{ grantee: "missing_role", privilege: "CONNECT", grantable: false }],
    });
    assert.deepEqual(
      findings.map(({ message }) => message),
      [
        'its setting log_statement was left out: permission denied to set parameter "log_statement"',
        'the privilege CONNECT of missing_role was left out: role "missing_role" does not exist',
      ],
    );
    assert.deepEqual((await read(administrator, name)).privileges, []);
  });

  it("has the source's ICU locale and rules", async () => {
    const icu = { ...plain, provider: "icu" as const, locale: "de-AT", icuRules: "&a < g" };
    assert.deepEqual(
      await createTargetDatabase(target, name, { ...icu, collate: "xx_XX.utf8", ctype: "xx_XX.utf8" }),
      [],
    );
    assert.deepEqual(await read(administrator, name), icu);
  });

  it("uses another locale if the target does not have the source's, and reports it", async () => {
    const findings = await createTargetDatabase(target, name, {
      ...plain,
      collate: "xx_XX.UTF-8",
      ctype: "xx_XX.UTF-8",
    });
    assert.match(findings[0]?.message ?? "", /locale is not available.*xx_XX.*was created with LOCALE_PROVIDER libc/s);
    assert.equal(findings.length, 1);
    assert.equal((await read(administrator, name)).encoding, "UTF8");
  });

  it("is refused if it exists, and is dropped with its sessions", async () => {
    await createTargetDatabase(target, name, plain);
    await assert.rejects(createTargetDatabase(target, name, plain), /already exists[^]*To do: drop/);
    const guest = await server.connect(name, administrator);
    const ended = new Promise((resolve) => guest.on("error", resolve));
    await dropTargetDatabase(target, name);
    await ended;
    await dropTargetDatabase(target, name);
    await assert.rejects(server.connect(name), /does not exist/);
  });
});

for (const [major, remedy] of [
  [10, "end these sessions"],
  [17, 'end these sessions, or drop it on the target: DROP DATABASE "shop" WITH (FORCE)'],
] as const)
  it(`a database that applications use on PostgreSQL ${major} can be replaced after the statements that are named`, async () => {
    const server = await EmbeddedServer.start({ major });
    await server.query("CREATE DATABASE shop");
    const application = await server.connect("shop");
    application.on("error", () => undefined);
    const session = await connect({ ...server.login, sslMode: "Disable" }, { database: "postgres", purpose: "test" });
    try {
      assert.deepEqual(
        (await usedDatabases(session, ["shop"])).map((one) => one.remedy),
        [remedy],
      );
      const drop = /DROP DATABASE .*/.exec(remedy)?.[0];
      if (drop) await server.query(drop);
      else await application.end();
      assert.deepEqual(await usedDatabases(session, ["shop"]), []);
    } finally {
      await application.end().catch(() => undefined);
      await session.end();
      await server.stop();
    }
  });
