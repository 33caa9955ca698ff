import assert from "node:assert/strict";
import { parse } from "yaml";
import { assertSameContent } from "../support/content";
import { Lab } from "../support/lab";
import { until } from "../support/until";
import { CommandLine } from "./command";

interface Shown {
  readonly name: string;
  readonly migrationMode: string;
  readonly dbsToMigrate: string[];
  readonly currentStatus: { readonly state: string; readonly worker?: { readonly state: string } };
}

/** az's commands against real servers, as az's documentation writes them. */
describe("pg-migration, az's commands", () => {
  let lab: Lab;
  let command: CommandLine;

  before(async () => {
    lab = await Lab.start();
    command = await CommandLine.in(lab);
  });

  after(async () => {
    await command.close();
    await lab.stop();
  });

  const schema =
    "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, md5(i::text) FROM generate_series(1, 2000) i";

  /** The example body of az's documentation, with its spelling of the keys. */
  const body = (database: string, changes: Record<string, unknown> = {}): string =>
    JSON.stringify({
      properties: {
        SourceDBServerResourceId: `${lab.source.login.host}:${lab.source.port}@${lab.source.login.user}`,
        SecretParameters: {
          AdminCredentials: {
            SourceServerPassword: lab.source.login.password,
            TargetServerPassword: lab.administrator.password,
          },
          TargetServerUserName: lab.administrator.user,
        },
        DBsToMigrate: [database],
        OverwriteDBsInTarget: "true",
        SourceType: "OnPremises",
        SslMode: "Prefer",
        ...changes,
      },
    });

  const az = ["--subscription", "11111111-1111", "--resource-group", "my-group", "--name", "testserver"];

  const state = async (name: string): Promise<string> =>
    (await command.json<Shown>(["show", ...az, "--migration-name", name])).currentStatus.state;

  it("create, show, list, update --cutover and delete run as in az's documentation", async () => {
    const database = await lab.database(schema);
    const file = await command.file("body.json", body(database));
    const environment = { PGPASSWORD: undefined, PG_MIGRATION_SOURCE_PASSWORD: undefined, PGHOST: "nowhere.invalid" };
    const created = await command.json<Shown>(
      [
        ...["create", ...az, "--migration-name", "testmigration", "--properties", file],
        ...["--migration-mode", "online", "--migration-option", "ValidateAndMigrate"],
      ],
      { ...environment, PG_MIGRATION_SOURCE_HOST: undefined },
    );
    assert.equal(created.name, "testmigration");
    assert.equal(created.migrationMode, "Online");
    assert.equal(created.currentStatus.worker?.state, "running");
    await until("it waits for its cutover", async () => (await state("testmigration")) === "WaitingForUserAction");

    const active = await command.json<Shown[]>(["list", ...az, "--filter", "Active"]);
    assert.deepEqual(
      active.map(({ name, currentStatus }) => [name, currentStatus.state]),
      [["testmigration", "WaitingForUserAction"]],
    );
    await lab.source.query("INSERT INTO t VALUES (0, 'late')", { database });
    await command.json(["update", ...az, "--migration-name", "testmigration", "--cutover", "--wait"]);
    assert.equal(await state("testmigration"), "Succeeded");
    await assertSameContent({ server: lab.source, database }, { server: lab.target, database });
    assert.deepEqual(await command.json(["list", ...az]), [], "it is no longer active");
    assert.equal((await command.json<Shown[]>(["list", ...az, "--filter", "All"])).length, 1);

    const again = await command.run(["update", ...az, "--migration-name", "testmigration", "--cutover"]);
    assert.equal(again.code, 4);
    assert.match(again.stderr, /^pg-migration: 603113: the migration testmigration has ended: Succeeded\n {2}To do: /);

    const unasked = await command.run(["delete", ...az, "--migration-name", "testmigration"]);
    assert.equal(unasked.code, 2, "without a terminal there is no prompt");
    assert.match(unasked.stderr, /pass --yes/);
    const deleted = await command.run(["delete", ...az, "--migration-name", "testmigration", "--yes"]);
    assert.equal(deleted.code, 0, deleted.stderr);
    const missing = await command.run(["show", ...az, "--migration-name", "testmigration"]);
    assert.equal(missing.code, 3);
    assert.match(missing.stderr, /^pg-migration: no migration testmigration is recorded on .*\n {2}To do: .*\n$/);
  });

  it("create takes a template and its parameters file", async () => {
    const database = await lab.database(schema);
    const { properties } = JSON.parse(body(database)) as { properties: unknown };
    const template = {
      parameters: { name: { type: "string" }, databases: { type: "array", defaultValue: [database] } },
      resources: [
        {
          type: "Microsoft.DBforPostgreSQL/flexibleServers/migrations",
          apiVersion: "2025-08-01",
          name: "[format('{0}/{1}', 'prod', parameters('name'))]",
          properties: {
            ...(properties as object),
            DBsToMigrate: "[parameters('databases')]",
            migrationMode: "offline",
          },
        },
      ],
    };
    const file = await command.file("template.json", JSON.stringify(template));
    const create = ["create", "--service", "prod", "--name", "of-template", "--properties", file];
    const refused = await command.run(create);
    assert.equal(refused.code, 2);
    assert.match(refused.stderr, /name: this expression cannot be resolved: the parameter name has no value/);
    const parameters = await command.file(
      "parameters.json",
      '{ "parameters": { "name": { "value": "of-template" } } }',
    );
    const created = await command.json<Shown>([...create, "--parameters", parameters, "--wait"]);
    assert.deepEqual([created.dbsToMigrate, created.currentStatus.state], [[database], "Succeeded"]);
    assert.equal((await command.run(["delete", "--name", "of-template", "-y"])).code, 0);
  });

  it("create generates a name, and shows what az shows", async () => {
    const database = await lab.database(schema);
    const file = await command.file("body.json", body(database, { TriggerCutover: "True", MigrationMode: "Offline" }));
    const group = ["--subscription", "11111111-1111", "--resource-group", "my-group"];
    const create = ["create", ...group, "--location", "westeurope", "--properties", file];
    const { name, ...created } = await command.json<Record<string, unknown> & { name: string }>([...create, "--wait"]);
    assert.match(name, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
    const { host, port, user } = lab.administrator;
    const server = host.split(".")[0]!;
    const expected = {
      id: `/subscriptions/11111111-1111/resourceGroups/my-group/providers/Microsoft.DBforPostgreSQL/flexibleServers/${server}/migrations/${name}`,
      type: "Microsoft.DBforPostgreSQL/flexibleServers/migrations",
      location: "westeurope",
      resourceGroup: "my-group",
      sslMode: "Prefer",
      targetDbServerResourceId: `${host}:${port}@${user}`,
      overwriteDbsInTarget: "True",
      migrateRoles: "False",
      setupLogicalReplicationOnSourceDbIfNeeded: "False",
      startDataMigration: "True",
      triggerCutover: "False",
      cancel: "False",
      dbsToTriggerCutoverOn: [],
      dbsToCancelMigrationOn: [],
      migrationWindowStartTimeInUtc: null,
      migrationWindowEndTimeInUtc: null,
      migrationInstanceResourceId: null,
      secretParameters: null,
      systemData: null,
    };
    assert.deepEqual({ ...created, ...expected }, created);
    assert.match(JSON.stringify(created.sourceDbServerMetadata), /"version"/);

    const [listed] = await command.json<Record<string, unknown>[]>(["list", ...group, "--filter", "all"]);
    assert.deepEqual({ ...listed, location: "westeurope" }, { name, ...created });

    const shown = JSON.stringify({ ...created, name: "again" });
    const again = await command.file("shown.json", shown);
    const repeated = await command.json<Shown>(["create", "--properties", again, "--wait"]);
    assert.deepEqual([repeated.name, repeated.currentStatus.state], ["again", "Succeeded"]);
    for (const one of [name, "again"]) assert.equal((await command.run(["delete", "--name", one, "-y"])).code, 0);
  });

  it("--query selects a part of the answer in every format", async () => {
    const database = await lab.database(schema);
    const created = await command.run([
      ...["create", "--name", "queried", "-d", database, "--wait"],
      ...["--query", "currentStatus.state", "-o", "tsv"],
    ]);
    assert.equal(created.stdout, "Succeeded\n");
    const list = async (...args: string[]): Promise<string> =>
      (await command.run(["list", "--filter", "ALL", ...args])).stdout;
    assert.deepEqual(JSON.parse(await list("--query", "[].name", "-o", "jsonc")), ["queried"]);
    assert.equal(await list("--query", "[].[name, migrationMode]", "-o", "tsv"), "queried\tOffline\n");
    const selected = ["--query", "[].{name: name, mode: migrationMode}"];
    assert.deepEqual(parse(await list(...selected, "-o", "yamlc")), [{ name: "queried", mode: "Offline" }]);
    assert.match(await list(...selected, "-o", "table"), /^Name +Mode *\n-.*\nqueried +Offline *\n$/);
    assert.equal(await list("-o", "none"), "");
    const wrong = await command.run(["create", "--name", "x", "-d", database, "--query", "[0"]);
    assert.equal(wrong.code, 2);
    assert.match(wrong.stderr, /--query: invalid expression "\[0"/);
    assert.deepEqual(JSON.parse(await list("--query", "[].name")), ["queried"], "nothing was created");
    assert.equal((await command.run(["delete", "--name", "queried", "-y"])).code, 0);
  });

  it("update --cancel ends a migration and keeps the copied data", async () => {
    const database = await lab.database(schema);
    await command.json([
      "create",
      "--name",
      "given-up",
      "--databases",
      database,
      "--migration-mode",
      "Online",
      "--no-wait",
    ]);
    const canceled = await command.json<Shown>(["update", "--name", "given-up", "--cancel", "--wait"]);
    assert.equal(canceled.currentStatus.state, "Canceled");
    const deleted = await command.run(["delete", "--name", "given-up", "-y"]);
    assert.equal(deleted.code, 0, deleted.stderr);
  });
  it("prints JSON, YAML and the portal's grid", async () => {
    const database = await lab.database(schema);
    const created = await command.json<Shown & { tags: unknown }>([
      "create",
      "--name",
      "offline",
      "-d",
      database,
      "--wait",
      "--tags",
      "team=crm",
      "reviewed",
      "formula=a=b",
    ]);
    assert.equal(created.currentStatus.state, "Succeeded");
    assert.deepEqual(created.tags, { team: "crm", reviewed: "", formula: "a=b" });
    const yaml = await command.run(["show", "--name", "offline", "-o", "yaml"]);
    assert.deepEqual((parse(yaml.stdout) as Shown).dbsToMigrate, [database]);
    const table = (await command.run(["list", "--filter", "All", "-o", "table"])).stdout.split("\n");
    assert.match(
      table[0]!,
      /^Name +Status +Migration mode +Migration type +Source server +Source server type +Databases +Duration +Start/,
    );
    assert.match(
      table[2]!,
      /^offline +Succeeded +Offline +ValidateAndMigrate +127\.0\.0\.1:\d+ +OnPremises +db_\w+ +\d\d:\d\d:\d\d /,
    );
    const shown = (await command.run(["show", "--name", "offline", "-o", "table"])).stdout;
    assert.match(shown, new RegExp(`^${database} +Succeeded +1 +0 +0 +0 +2000 `, "m"));

    const name = (given: string): Promise<unknown> => command.json(["check-name-availability", "--name", given]);
    const type = "Microsoft.DBforPostgreSQL/flexibleServers/migrations";
    assert.deepEqual(await name("offline"), {
      name: "offline",
      type,
      nameAvailable: false,
      reason: "AlreadyExists",
      message: "a migration offline exists on that server, in state Succeeded",
    });
    assert.deepEqual(await name("another"), {
      name: "another",
      type,
      nameAvailable: true,
      reason: null,
      message: "another is available",
    });
    assert.equal(((await name("-no")) as { reason: string }).reason, "Invalid");
    assert.equal((await command.run(["delete", "--name", "offline", "-y"])).code, 0);
  });

  it("exits by class of error, and prints what happened and what to do on two lines", async () => {
    const wrong = async (args: string[], changes: Record<string, string | undefined> = {}): Promise<string> => {
      const { code, stdout, stderr } = await command.run(args, changes);
      assert.equal(stdout, "");
      return `${String(code)} ${stderr}`;
    };
    assert.match(
      await wrong(["crate"]),
      /^2 pg-migration: unknown command 'crate' \(Did you mean create\?\)\n {2}To do: .*\n$/,
    );
    assert.match(
      await wrong(["list", "-o", "xml"]),
      /^2 .*Allowed choices are json, jsonc, none, table, tsv, yaml, yamlc/,
    );
    assert.match(
      await wrong(["show"]),
      /^2 pg-migration: --name: missing; .*\n {2}To do: see pg-migration show --help\n$/,
    );
    assert.match(await wrong(["update", "--name", "x"]), /^3 .*no migration x is recorded/);
    assert.match(
      await wrong(["list"], { PGHOST: undefined }),
      /^2 .*--host: the host of the target is missing; pass --host/,
    );
    assert.match(await wrong(["list", "--port", "5x"]), /^2 .*--port: invalid port "5x": expected 1 to 65535/);
    assert.match(
      await wrong(["list", "--sslmode", "maybe"]),
      /^2 .*invalid mode "maybe": expected disable, prefer, require/,
    );
    assert.match(await wrong(["list", "--service", "none"]), /^2 .*no service none in .*\.pg_service\.conf/);
    assert.match(await wrong(["list"], { PGPASSWORD: undefined }), /^2 .*password: missing for .*set PGPASSWORD/);
    assert.match(await wrong(["list", "--sslrootcert", "/nonexistent"]), /^2 .*--sslrootcert: ENOENT/);
    assert.match(
      await wrong(["list", "--sslmode", "verify-full"]),
      /^4 .*603001: .*does not support TLS.*\n {2}To do: set ssl = on on the server, because --sslmode or .* is VerifyFull\n$/,
    );
    assert.match(await wrong(["update", "--name", "x", "--cutover", "--cancel"]), /^2 .*cannot be used with/);
    assert.match(await wrong(["update", "--name", "x", "--verify-now", "--cutover"]), /^2 .*cannot be used with/);
    assert.match(
      await wrong(["list"], { PGPASSWORD: "wrong" }),
      /^4 .*603100: .*the role or the password is wrong.*\n {2}To do: /,
    );
    assert.match(await wrong(["list"], { PGPORT: "1" }), /^5 .*603000: .*nothing answers.*\n {2}To do: .*pg_isready/);
    assert.match(await wrong(["create", "--name", "x", "--properties", "none.json"]), /^2 .*none\.json: ENOENT/);
    const file = await command.file("typo.json", body("x", { DBsToMigrat: [] }));
    assert.match(await wrong(["create", "--name", "x", "--properties", file]), /^2 .*(dbstomigrat|DBsToMigrat)/);
    assert.match(await wrong(["create", "--name", "x_y", "-d", "a"]), /^2 .*--name: use letters, digits/);
  });

  it("reads passwords from ~/.pgpass unless other users may read it", async () => {
    const { host, port, user, password } = lab.administrator;
    const line = `${host}:${port}:*:${user}:${password.replace(/[\\:]/g, "\\$&")}\n`;
    const file = await command.file("pgpass", line);
    assert.deepEqual(await command.json(["list"], { PGPASSWORD: undefined, PGPASSFILE: file }), []);
    const open = await command.file("open-pgpass", line, 0o644);
    const refused = await command.run(["list"], { PGPASSWORD: undefined, PGPASSFILE: open });
    assert.equal(refused.code, 2);
    assert.match(refused.stderr, /is ignored because other users may read it\n {2}To do: chmod 600/);
    assert.match(refused.stderr, /add a line to ~\/\.pgpass \(or the file in PG_MIGRATION_PASSFILE\)/);
    assert.deepEqual(await command.json(["list"], { PGPASSWORD: undefined, PG_MIGRATION_PASSFILE: open }), []);
    const missing = await command.run(["list"], { PGPASSWORD: undefined, PG_MIGRATION_PASSFILE: "/no/such/file" });
    assert.equal(missing.code, 2);
    assert.match(missing.stderr, /PG_MIGRATION_PASSFILE: ENOENT.*\/no\/such\/file/);
  });
});
