import assert from "node:assert/strict";
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { parse } from "yaml";
import { InvalidInputError } from "../../provider/src/errors";
import { writeProject } from "../../provider/src/cli/project/write-project";
import { assertSameContent } from "../support/content";
import { statusOf } from "../support/deploy-program";
import { Lab } from "../support/lab";
import { createHost, hostNames } from "../support/pulumi-cli";
import { secretsIn } from "../support/secrets";
import { type Answer, CommandLine, commandPath } from "./command";

const has = (tool: string): boolean => spawnSync("sh", ["-c", `command -v ${tool}`]).status === 0;

const schema =
  "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, md5(i::text) FROM generate_series(1, 50) i";

interface StackFile {
  readonly config: Readonly<Record<string, unknown>>;
}

describe("pg-migration init", () => {
  let lab: Lab;
  let command: CommandLine;
  let secrets: readonly string[];
  let count = 0;

  before(async () => {
    lab = await Lab.start();
    command = await CommandLine.in(lab);
    secrets = [lab.source.login.password, lab.administrator.password];
  });

  after(async () => {
    await command.close();
    await lab.stop();
  });

  /** The path of a directory that does not exist. */
  const newDirectory = (): string => join(command.directory, `project-${count++}`);

  const init = (directory: string, args: readonly string[], changes: Record<string, string | undefined> = {}) =>
    command.run(["init", directory, ...args], changes);

  const filesIn = async (directory: string): Promise<Map<string, string>> => {
    const names = await readdir(directory);
    return new Map(
      await Promise.all(
        names.map(async (name): Promise<[string, string]> => [name, await readFile(join(directory, name), "utf8")]),
      ),
    );
  };

  const stackFile = async (directory: string, stack = "dev"): Promise<StackFile["config"]> =>
    (parse(await readFile(join(directory, `Pulumi.${stack}.yaml`), "utf8")) as StackFile).config;

  const assertNothingWritten = async (directory: string, answer: Answer, code: number): Promise<void> => {
    assert.equal(answer.code, code, answer.stderr);
    const left = (await readdir(command.directory)).filter((name) => name === basename(directory));
    assert.deepEqual(left, [], "no directory is created");
  };

  for (const hostName of hostNames)
    it(`writes a project that migrates, deployed by the ${hostName} host`, async () => {
      const database = `it's "größer", ${hostName}`;
      await lab.source.query(`CREATE DATABASE "${database.replaceAll('"', '""')}"`);
      await lab.source.query(schema, { database });
      const directory = newDirectory();
      const answer = await init(directory, ["--databases", database, "--migration-mode", "offline", "--stack", "test"]);
      assert.equal(answer.code, 0, answer.stderr);
      assert.match(answer.stderr, /^The source is PostgreSQL 14\.\d+.*\. Platform: self-managed/m);
      assert.match(answer.stderr, /^it's "größer", \w+ +[\d.]+ MB +yes$/m);
      const steps = `cd ${directory}
npm install
pulumi stack select --create --stack test
pulumi config set --secret --stack test sourcePassword
pulumi config set --secret --stack test targetPassword
pulumi up
`;
      assert.equal(answer.stdout, steps);
      const files = await filesIn(directory);
      assert.deepEqual([...files.keys()].sort(), [
        ...[".gitignore", "Pulumi.test.yaml", "Pulumi.yaml", "README.md", "index.ts", "package.json", "tsconfig.json"],
      ]);

      // What npm install does.
      await symlink(resolve("node_modules"), join(directory, "node_modules"), "junction");
      execFileSync(process.execPath, [resolve("node_modules/typescript/bin/tsc"), "-p", directory], { stdio: "pipe" });
      const host = createHost(hostName, command.directory, {
        programDirectory: directory,
        stack: "test",
        passphrase: "only for tests",
        secretConfig: { sourcePassword: secrets[0]!, targetPassword: secrets[1]! },
        environment: { PULUMI_NODEJS_TRANSPILE_ONLY: "true" },
      });
      assert.equal(statusOf(await host.up()).state, "Succeeded");
      await assertSameContent({ server: lab.source, database }, { server: lab.target, database });
      assert.deepEqual(await secretsIn(secrets, { lab, texts: [...files.values(), answer.stdout, answer.stderr] }), []);
      assert((await host.destroy()).ok);
    });

  it("proposes the mode for which the source is ready, and keeps patterns and names as they are", async () => {
    const database = await lab.database(schema);
    const online = newDirectory();
    assert.equal((await init(online, ["--databases", "db_*", "!db_test", "--project", "yes"])).code, 0);
    assert.deepEqual(await stackFile(online), {
      "yes:migrationName": "yes",
      "yes:sourceHost": lab.source.login.host,
      "yes:sourcePort": String(lab.source.port),
      "yes:sourceUser": lab.source.login.user,
      "yes:sourceSslMode": "Prefer",
      "yes:targetHost": lab.administrator.host,
      "yes:targetPort": String(lab.administrator.port),
      "yes:targetUser": lab.administrator.user,
      "yes:targetSslMode": "Prefer",
      "yes:dbsToMigrate": ["db_*", "!db_test"],
      "yes:migrationMode": "Online",
    });
    // Pulumi's parser reads a plain `yes` as a boolean.
    assert.match(await readFile(join(online, "Pulumi.dev.yaml"), "utf8"), /^ {2}yes:migrationName: "yes"$/m);
    await lab.source.query("CREATE ROLE reader LOGIN PASSWORD 'reader' IN ROLE pg_read_all_data");
    const reader = { PG_MIGRATION_SOURCE_USER: "reader", PG_MIGRATION_SOURCE_PASSWORD: "reader" };
    const offline = newDirectory();
    const id = "/subscriptions/1/resourceGroups/g/providers/Microsoft.DBforPostgreSQL/flexibleServers/prod-1";
    const answer = await init(offline, ["--databases", database, "--server-name", id], reader);
    assert.equal(answer.code, 0, answer.stderr);
    assert.match(answer.stderr, /An online migration also requires:\n {2}ALTER ROLE "reader" REPLICATION/);
    const config = await stackFile(offline);
    assert.equal(config[`${basename(offline)}:migrationMode`], "Offline");
    assert.equal(config[`${basename(offline)}:targetHost`], "prod-1.postgres.database.azure.com");
  });

  it("refuses the mode Online for a source that can never be migrated online", async () => {
    const database = await lab.database(`${schema}; CREATE SCHEMA heroku_ext`);
    const directory = newDirectory();
    const online = await init(directory, ["--databases", database, "--migration-mode", "online"]);
    await assertNothingWritten(directory, online, 2);
    assert.match(online.stderr, /--migration-mode: .*logical replication.*Offline/);
    assert.equal((await init(directory, ["--databases", database])).code, 0);
    assert.equal((await stackFile(directory))[`${basename(directory)}:migrationMode`], "Offline");
  });

  it("names all missing options at once", async () => {
    const directory = newDirectory();
    const { PATH, HOME } = command.environment;
    const none = Object.fromEntries(Object.keys(command.environment).map((name) => [name, undefined]));
    const answer = await init(directory, ["--yes"], { ...none, PATH: PATH!, HOME: HOME! });
    await assertNothingWritten(directory, answer, 2);
    for (const option of ["--source-host", "--source-user", "--databases", "--host", "--user"])
      assert.match(answer.stderr, new RegExp(`(^|: |  )${option}: .*missing`, "m"));
    const password = await init(directory, ["--databases", "*"], { PG_MIGRATION_SOURCE_PASSWORD: "" });
    await assertNothingWritten(directory, password, 2);
    assert.match(password.stderr, /password: missing for .*set PG_MIGRATION_SOURCE_PASSWORD/);
  });

  it("refuses a directory that is not empty, and names its files", async () => {
    const directory = newDirectory();
    await mkdir(directory);
    await writeFile(join(directory, "index.ts"), "mine");
    const answer = await init(directory, ["--databases", "*"]);
    assert.equal(answer.code, 2);
    assert.match(answer.stderr, /is not empty: it contains index\.ts/);
    assert.deepEqual(await filesIn(directory), new Map([["index.ts", "mine"]]));
  });

  it("writes into an existing empty directory, and leaves nothing in one that it may not write", async () => {
    const database = await lab.database(schema);
    const directory = newDirectory();
    await mkdir(directory);
    assert.equal((await init(directory, ["--databases", database])).code, 0);
    const file = await command.file("a-file", "");
    const inFile = await init(join(file, "project"), ["--databases", database]);
    assert.equal(inFile.code, 2);
    assert.match(inFile.stderr, /directory: ENOTDIR/);
  });

  it("removes what it has written if a file cannot get its place", async () => {
    const directory = newDirectory();
    await mkdir(join(directory, ".git"), { recursive: true });
    const files = new Map(["index.ts", ".git", "README.md"].map((name) => [name, "text"]));
    await assert.rejects(writeProject(directory, files), InvalidInputError);
    assert.deepEqual(await readdir(directory), [".git"]);
    const absent = newDirectory();
    await assert.rejects(
      writeProject(
        absent,
        new Map([
          ["index.ts", ""],
          ["no-folder/file", ""],
        ]),
      ),
      InvalidInputError,
    );
    await assert.rejects(readdir(absent), { code: "ENOENT" });
  });

  it("inspects a source whose role may open only the named database", async () => {
    const database = await lab.database(schema);
    await lab.source.query("CREATE ROLE confined LOGIN PASSWORD 'confined'");
    await lab.source.query("REVOKE CONNECT ON DATABASE postgres, template1 FROM PUBLIC");
    const login = { PG_MIGRATION_SOURCE_USER: "confined", PG_MIGRATION_SOURCE_PASSWORD: "confined" };
    try {
      const answer = await init(newDirectory(), ["--databases", database], login);
      assert.equal(answer.code, 0, answer.stderr);
    } finally {
      await lab.source.query("GRANT CONNECT ON DATABASE postgres, template1 TO PUBLIC");
    }
  });

  it("writes nothing if the source is unreachable, refuses the password, or lacks a database", async () => {
    const directory = newDirectory();
    const all = ["--databases", "*"];
    await assertNothingWritten(directory, await init(directory, [...all, "--source-port", "1"]), 5);
    const wrong = await init(directory, all, { PG_MIGRATION_SOURCE_PASSWORD: "wrong-secret" });
    await assertNothingWritten(directory, wrong, 4);
    assert(!wrong.stderr.includes("wrong-secret"));
    const missing = await init(directory, ["--databases", "missing"]);
    await assertNothingWritten(directory, missing, 2);
    assert.match(missing.stderr, /--databases: .* has no database missing/);
    const name = await init(directory, [...all, "--stack", "../dev"]);
    await assertNothingWritten(directory, name, 2);
    const tokens = await init(directory, [...all, "--auth", "entra"]);
    await assertNothingWritten(directory, tokens, 2);
    assert.match(tokens.stderr, /--auth: .*docs\/passwordless\.md/);
  });

  /** A command `pulumi` that records its arguments and its standard input. */
  const withPulumi = async (script: string): Promise<{ PATH: string; calls: () => Promise<string> }> => {
    const folder = newDirectory();
    await mkdir(folder);
    const log = join(folder, "calls");
    const text = `#!/bin/sh\necho "$@" >> '${log}'\n${script.replaceAll("LOG", `'${log}'`)}\n`;
    await writeFile(join(folder, "pulumi"), text, { mode: 0o755 });
    return { PATH: `${folder}:${command.environment.PATH!}`, calls: () => readFile(log, "utf8") };
  };

  it("--set-secrets gives the passwords to pulumi on its standard input", async () => {
    const database = await lab.database(schema);
    const { PATH, calls } = await withPulumi('case "$1" in config) cat >> LOG; echo >> LOG ;; esac');
    const directory = newDirectory();
    const answer = await init(directory, ["--databases", database, "--set-secrets"], { PATH });
    assert.equal(answer.code, 0, answer.stderr);
    assert.deepEqual((await calls()).trimEnd().split("\n"), [
      "version",
      "stack select --create --stack dev",
      "config set --secret --stack dev sourcePassword",
      secrets[0],
      "config set --secret --stack dev targetPassword",
      secrets[1],
    ]);
    assert.equal(answer.stdout, `cd ${directory}\nnpm install\npulumi up\n`);
    const texts = [...(await filesIn(directory)).values(), answer.stderr].join("\n");
    assert(!secrets.some((secret) => texts.includes(secret)), texts);
  });

  it("--set-secrets keeps the project if pulumi fails, and writes none without pulumi", async () => {
    const database = await lab.database(schema);
    const { PATH } = await withPulumi('[ "$1" = version ]');
    const directory = newDirectory();
    const failed = await init(directory, ["--databases", database, "--set-secrets"], { PATH });
    assert.equal(failed.code, 4, failed.stderr);
    assert.match(failed.stderr, /pulumi stack select .* failed: it ended with 1\n {2}To do: the project is complete/);
    assert((await filesIn(directory)).has("index.ts"));
    const absent = newDirectory();
    const answer = await init(absent, ["--databases", database, "--set-secrets"], { PATH: "/nonexistent" });
    await assertNothingWritten(absent, answer, 2);
    assert.match(answer.stderr, /there is no command pulumi on PATH/);
  });

  it("asks on a terminal, repeats a question after a wrong answer, and shows no password", async function () {
    if (!has("script")) {
      process.stderr.write("    NOT TESTED: there is no command script, which gives a terminal\n");
      return this.skip();
    }
    const database = await lab.database(schema);
    const directory = newDirectory();
    const { HOME } = command.environment;
    const { PATH, calls } = await withPulumi('case "$1" in config) cat >> LOG; echo >> LOG ;; esac');
    const line = [process.execPath, commandPath, "init", directory].map((word) => `'${word}'`).join(" ");
    const terminal = spawn("script", ["-qec", line, "/dev/null"], {
      env: { HOME: HOME!, PATH, TERM: "dumb" },
    });
    const { source, administrator } = lab;
    const answers = [
      { to: /Host of the source: $/, type: source.login.host },
      { to: /Port of the source \[5432\]: $/, type: "a" },
      { to: /give a port from 1 to 65535\s+Port of the source \[5432\]: $/, type: String(source.port) },
      { to: /Role on the source: $/, type: source.login.user },
      { to: /TLS mode of the source: .* \[prefer\]: $/, type: "disable" },
      { to: /Password of .*: $/, type: secrets[0]! },
      { to: /The source is ready for an online migration\.\s+Databases: .* \[\*\]: $/, type: "missing" },
      { to: /has no database missing\s+Databases: .* \[\*\]: $/, type: database },
      { to: /Migration mode: .* \[Online\]: $/, type: "Fast" },
      { to: /expected Offline or Online\s+Migration mode: .* \[Online\]: $/, type: "" },
      { to: /Target: .*: $/, type: administrator.host },
      { to: /Port of the target \[5432\]: $/, type: String(administrator.port) },
      { to: /Role on the target: $/, type: administrator.user },
      { to: /TLS mode of the target: .* \[prefer\]: $/, type: "" },
      { to: /store both passwords with pulumi now\? .* \[no\]: $/, type: "yes" },
      { to: /Password of azureadmin@.*: $/, type: secrets[1]! },
    ];
    let shown = "";
    terminal.stdout.setEncoding("utf8").on("data", (text: string) => {
      shown += text;
      if (answers[0]?.to.test(shown)) terminal.stdin.write(`${answers.shift()!.type}\r`);
    });
    const [status] = (await once(terminal, "close")) as [number];
    assert.deepEqual(answers, [], shown);
    assert.equal(status, 0, shown);
    assert(!secrets.some((secret) => shown.includes(secret)), "the typed passwords are not shown");
    for (const secret of secrets) assert((await calls()).includes(secret), "pulumi has stored both");
    const config = await stackFile(directory);
    const values = ["sourceSslMode", "targetSslMode", "dbsToMigrate", "migrationMode"].map(
      (key) => config[`${basename(directory)}:${key}`],
    );
    assert.deepEqual(values, ["Disable", "Prefer", [database], "Online"]);
    return undefined;
  });
});

describe("the template for pulumi new", () => {
  const read = (name: string): Promise<string> => readFile(join("provider/template", name), "utf8");

  it("asks for every required key of its program, and for passwords as secrets", async () => {
    const { template } = parse(await read("Pulumi.yaml")) as {
      template: { config: Record<string, { secret?: boolean; default?: string }> };
    };
    const program = await read("index.ts");
    const required = [...program.matchAll(/config\.require\w*(?:<[^(]*>)?\("(\w+)"\)/g)].map(([, key]) => key!);
    assert.equal(required.length, 7);
    for (const key of required) assert(key in template.config, key);
    for (const [key, { secret = false }] of Object.entries(template.config)) {
      assert(program.includes(`"${key}"`), `the program reads ${key}`);
      assert.equal(secret, key.endsWith("Password"), key);
    }
    assert.deepEqual(JSON.parse(template.config.dbsToMigrate!.default!), ["*"]);
  });

  it("requires this version of the package", async () => {
    const { dependencies } = JSON.parse(await read("package.json")) as { dependencies: Record<string, string> };
    const { version } = JSON.parse(await readFile("provider/package.json", "utf8")) as { version: string };
    assert.equal(dependencies["pulumi-pg-migration"], `^${version}`);
  });
});
