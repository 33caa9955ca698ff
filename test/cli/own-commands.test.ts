import assert from "node:assert/strict";
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { manPage } from "../../provider/dist/cli/help/man-page.js";
import { buildProgram } from "../../provider/dist/cli/program.js";
import type { Finding } from "../../provider/dist/findings.js";
import { parseInputs } from "../../provider/dist/inputs/check-inputs.js";
import { specOf } from "../../provider/dist/inputs/inputs.js";
import { insertMigration } from "../../provider/dist/store/records.js";
import { withStore } from "../../provider/dist/store/store.js";
import { assertSameContent } from "../support/content";
import { Lab } from "../support/lab";
import { strictlyParsed } from "../support/report";
import { Resource } from "../support/resource";
import { until } from "../support/until";
import { type Answer, CommandLine, commandPath } from "./command";

/** A command line for `script -c`: the path may contain spaces. */
const shellLine = (...words: readonly string[]): string =>
  [process.execPath, commandPath, ...words].map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");

const has = (tool: string): boolean => spawnSync("sh", ["-c", `command -v ${tool}`]).status === 0;

describe("pg-migration, its own commands", () => {
  let lab: Lab;
  let command: CommandLine;
  const undo: (() => Promise<unknown>)[] = [];

  before(async () => {
    lab = await Lab.start();
    command = await CommandLine.in(lab);
  });

  afterEach(async () => {
    for (const step of undo.splice(0).reverse()) await step();
  });

  after(async () => {
    await command.close();
    await lab.stop();
  });

  const schema =
    "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, md5(i::text) FROM generate_series(1, 3000) i; CREATE TABLE empty (id int PRIMARY KEY)";

  /** A migration that is destroyed when its test ends. */
  function declare(): Resource {
    const resource = new Resource();
    undo.push(() => resource.destroy());
    return resource;
  }

  it("validate shows findings with remedies and exits with 6 if one has failed", async () => {
    const database = await lab.database(schema);
    const good = await command.json<Finding[]>(["validate", "--databases", database, "-o", "json"]);
    assert(good.length > 0 && good.every(({ state }) => state !== "Failed"));
    await lab.target.query(`CREATE DATABASE ${database} OWNER ${lab.administrator.user}`);
    const bad = await command.run(["validate", "--databases", database, "--migration-mode", "ONLINE"]);
    assert.equal(bad.code, 6, bad.stderr);
    assert.match(bad.stdout, /^Status +Code +Database +Impacted object +Type +Finding\n/);
    assert.match(bad.stdout, new RegExp(`^Failed +603101 .*${database}`, "m"));
    assert.match(bad.stdout, /\nTo do:\n {2}603101: --overwrite/);
    assert.match(bad.stdout, /\nCodes: https:\/\/github\.com\/.*\/docs\/findings\.md\n/);
    const schemas = await lab.target.query("SELECT FROM pg_namespace WHERE nspname = 'pgmigration'");
    assert.equal(schemas.length, 0, "nothing is recorded");
  });

  it("show, watch and logs name the findings of a failed validation, and create --wait exits with 6", async () => {
    const database = await lab.database(schema);
    await lab.target.query(`CREATE DATABASE ${database} OWNER ${lab.administrator.user}`);
    const created = await command.run(["create", "--name", "invalid", "--databases", database, "--wait"]);
    assert.equal(created.code, 6, created.stderr);
    assert.match(created.stderr, /^pg-migration: migration invalid: ValidationFailed/m);
    assert.match(created.stderr, /--overwrite/);
    assert.match(created.stdout, /"state": "ValidationFailed"/);
    const finding = new RegExp(`603101 +${database} .*${database}`);
    const shown = await command.run(["show", "--name", "invalid", "-o", "table"]);
    assert.match(shown.stdout, finding);
    const watched = await command.run(["watch", "--name", "invalid"]);
    assert.equal(watched.code, 6);
    assert.match(watched.stdout, finding);
    assert.match(
      (await command.run(["logs", "--name", "invalid"])).stdout,
      new RegExp(`error .*603101: .*${database}`),
    );
    assert.equal((await command.run(["delete", "--name", "invalid", "--yes"])).code, 0);
  });

  it("prints names with control characters escaped", async () => {
    const database = await lab.database('CREATE TABLE "x\u001b]0;pwned\u0007\u001b[2J\n" (id int)');
    const plan = await command.run(["plan", "--databases", database]);
    assert(!plan.stdout.includes("\u001b") && !plan.stdout.includes("\u0007"));
    assert.match(
      plan.stdout,
      /public\.x\\x1b\]0;pwned\\x07\\x1b\[2J\\n +\S+ \S+ +-$/m,
      "rows are unknown until ANALYZE",
    );
  });

  for (const args of [["completion", "bash"], ["list"], ["show", "--name", "none"]])
    it(`${args[0]!} ends without an error if the reader closes the pipe`, async () => {
      const { environment: env } = command;
      const child = spawn(process.execPath, [commandPath, ...args], { env, stdio: ["ignore", "pipe", "pipe"] });
      const { stdout, stderr } = child;
      // `show` finds nothing, and writes only to standard error.
      (args[0] === "show" ? stderr : stdout).destroy();
      let printed = "";
      for (const stream of [stdout, stderr]) stream.on("data", (text: Buffer) => (printed += text.toString()));
      const [, signal] = (await once(child, "close")) as [number, string | null];
      assert.deepEqual([signal, printed], [null, ""]);
    });

  it("create --wait exits with 8 after its timeout, and update refuses replication of an offline one", async () => {
    const database = await lab.database(schema);
    const obstacle = await lab.source.connect(database);
    await obstacle.query("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE");
    const file = await command.file("timeout.json", JSON.stringify({ timeouts: { create: "1s" } }));
    const late = await command.run(["create", "--name", "late", "-d", `${database}*`, "--properties", file, "--wait"]);
    assert.equal(late.code, 8, late.stderr);
    assert.match(late.stderr, /did not reach its success within 1 s\n {2}To do: .*pg-migration update/);
    assert.equal((await command.run(["update", "--name", "late", "--setup-replication"])).code, 4);
    await obstacle.end();
    const resumed = await command.run(["update", "--name", "late", "--wait"]);
    assert.equal(resumed.code, 0, resumed.stderr);
    assert.equal((await command.run(["delete", "--name", "late", "--yes"])).code, 0);
  });

  it("prints the values of a list as tsv, and nothing with -o none", async () => {
    const { stdout } = await command.run(["doctor", "-o", "tsv"]);
    assert.match(stdout, /^wal_level\tlogical\tlogical\ttrue$/m);
    assert.equal((await command.run(["doctor", "-o", "none"])).stdout, "");
  });

  it("plan lists tables by size with an estimate", async () => {
    const database = await lab.database(schema);
    await lab.source.query("ANALYZE t", { database });
    const plan = await command.run(["plan", "--source-service", "old", "-d", database, "--rate", "1"]);
    assert.match(
      plan.stdout,
      new RegExp(`^${database} +public\\.t +2\\d\\d\\.\\d kB +3000\\n${database} +public\\.empty`, "m"),
    );
    assert.match(plan.stdout, /2 tables, 2\d\d\.\d kB: about 00:00:01 at 1 MB\/s\n4 tables and 2 indexes in parallel/);
    assert.match(plan.stdout, /public\.empty +\S+ k?B +-$/m, "no estimate for a table that was never analysed");
    assert.match(
      plan.stdout,
      /\nrecommended: Standard_D2ds_v5 \(GeneralPurpose, 2 vCores, 8 GiB of memory\), 32 GiB of storage, P\d+ /,
    );
    const large = await command.run(["plan", "--source-service", "old", "-d", database, "--vcores", "5"]);
    assert.match(
      large.stdout,
      /\nrecommended: Standard_D8ds_v5 .*\n(?: {2}.*\n)* {2}vCores: at least 5, as on the source\n/,
    );
    const [, neverAnalysed] = (
      await command.json<{ tables: { rowsEstimated: number | null }[] }>([
        ...["plan", "--source-service", "old", "-d", database, "-o", "json"],
      ])
    ).tables;
    assert.equal(neverAnalysed!.rowsEstimated, null);
    const withoutTarget = await command.run(["plan", "-d", database], { PGHOST: undefined });
    assert.match(withoutTarget.stdout, /pass the target as well/);
    const none = await command.run(["plan"]);
    assert.equal(none.code, 2);
    assert.match(none.stderr, /--databases: missing; pass --databases/);
  });

  it("doctor prints the commands that prepare a source, by hosting service", async () => {
    const ready = await command.run(["doctor"]);
    assert.equal(ready.code, 0, ready.stdout);
    assert.match(ready.stdout, /The source is ready\./);
    assert.match(ready.stdout, /^version +14\.\d+ +9\.5 or later +yes/m);
    const checks = await command.json<{ ok: boolean; remedy?: string }[]>(["doctor", "-o", "json"]);
    assert(
      checks.every(({ ok, remedy }) => ok && remedy === undefined),
      "a passed check has no remedy",
    );
    const lacking = await command.run(["doctor", "--source-type", "AWS_RDS", "--database-count", "40"]);
    assert.equal(lacking.code, 6);
    assert.match(lacking.stdout, /max_replication_slots +\d+ free +41 free +NO/);
    assert.match(lacking.stdout, /To do:\n {2}.*aws rds modify-db-parameter-group .*rds\.logical_replication/);
    await lab.source.query("CREATE ROLE reader LOGIN PASSWORD 'reader'");
    const reader = { PG_MIGRATION_SOURCE_USER: "reader", PG_MIGRATION_SOURCE_PASSWORD: "reader" };
    assert.match((await command.run(["doctor"], reader)).stdout, /To do:\n {2}ALTER ROLE "reader" REPLICATION/);
  });

  it("databases lists size, extensions and blockers, and why a database cannot be read", async () => {
    const hashed = `CREATE TYPE color AS ENUM ('red'); CREATE TABLE t (c color) PARTITION BY HASH (c);
      CREATE TABLE p PARTITION OF t FOR VALUES WITH (MODULUS 1, REMAINDER 0); CREATE EXTENSION tablefunc`;
    const ofExtension = "CREATE EXTENSION tablefunc; CREATE TABLE t (); ALTER EXTENSION tablefunc ADD TABLE t";
    const [plain, blocked] = [await lab.database(schema), await lab.database(hashed)];
    const [denied, closed, locked] = [await lab.database(""), await lab.database(""), await lab.database(ofExtension)];
    undo.push(() => lab.source.query("DROP OWNED BY lister; DROP ROLE lister"));
    await lab.source.query(`CREATE ROLE lister LOGIN PASSWORD 'lister'; GRANT pg_read_all_data TO lister`);
    await lab.source.query(`REVOKE CONNECT ON DATABASE ${denied} FROM public`);
    await lab.source.query(`ALTER DATABASE ${closed} ALLOW_CONNECTIONS false`);
    const obstacle = await lab.source.connect(locked);
    undo.push(() => obstacle.end());
    await obstacle.query("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE");
    const login = { PG_MIGRATION_SOURCE_USER: "lister", PG_MIGRATION_SOURCE_PASSWORD: "lister" };
    interface Row {
      readonly name: string;
      readonly bytes: number | null;
      readonly tables: number | null;
      readonly extensions: readonly string[];
      readonly blockers: readonly { readonly code: string; readonly remedy: string }[];
      readonly unreadable: string | null;
      readonly matchedByPatterns: boolean;
    }
    const rows = await command.json<Row[]>(["databases", "-o", "json"], login);
    const row = (name: string): Row => rows.find((one) => one.name === name)!;
    assert.deepEqual([row(plain).tables, row(plain).blockers, row(plain).unreadable], [2, [], null]);
    assert.deepEqual([row(blocked).tables, row(blocked).extensions], [2, ["tablefunc"]]);
    assert.deepEqual(
      row(blocked).blockers.map(({ code }) => code),
      ["PGM-418"],
    );
    assert(row(plain).bytes! > 1_000_000);
    for (const [name, reason] of [
      [denied, /the role may not connect/],
      [closed, /accepts no connections/],
    ] as const) {
      assert.deepEqual([row(name).tables, row(name).blockers.map(({ code }) => code)], [null, ["PGM-104"]]);
      assert.match(row(name).unreadable!, reason);
    }
    assert.equal(row(denied).bytes, null, "without CONNECT");
    assert.deepEqual([row(locked).blockers, row(locked).unreadable], [[], "canceling statement due to lock timeout"]);
    assert.deepEqual(
      [row("postgres"), row(closed), row(plain)].map((one) => one.matchedByPatterns),
      [false, false, true],
    );
    assert(!rows.some(({ name }) => name.startsWith("template")));
    const { stdout } = await command.run(["databases", "-d", `${blocked}*`, denied, locked], login);
    assert.match(stdout, new RegExp(`^${locked} cannot be read: canceling statement`, "m"));
    assert.match(
      stdout,
      new RegExp(`^${blocked} +\\d+\\.\\d MB +postgres +UTF8 +\\S+ +yes +2 +tablefunc +PGM-418$`, "m"),
    );
    assert.match(stdout, new RegExp(`^${denied} +\\? .* PGM-104$`, "m"));
    assert.match(stdout, /^To do:\n(?: {2}.*\n)* {2}PGM-104: GRANT CONNECT ON DATABASE "db_\w+" TO "lister"$/m);
    assert(!stdout.includes(plain));
    const codes = ["--migration-mode", "online", "--query", "[].blockers[].code", "-o", "tsv"];
    assert.equal((await command.run(["databases", "-d", plain, ...codes], login)).stdout, "603110\n603110\n");
    const missing = await command.run(["databases", "-d", "missing"]);
    assert.equal(missing.code, 2);
    assert.match(missing.stderr, /--databases: .* has no database missing/);
  });

  it("--databases takes patterns: validate, plan and doctor print what they select", async () => {
    const database = await lab.database(schema);
    const pattern = ["--databases", `${database}*`, "!other"];
    const selects = new RegExp(
      `--databases ${database}\\*, !other selects on .*: ${database}\n.*!other excludes nothing on`,
    );
    for (const [name, ...flags] of [["validate"], ["plan"], ["doctor", "-o", "table"]]) {
      const { code, stdout, stderr } = await command.run([name!, ...pattern, ...flags]);
      assert.equal(code, 0, stderr);
      assert.match(stderr, selects, name);
      if (name === "plan") assert.match(stdout, new RegExp(`^${database} +public\\.t `, "m"));
    }
    for (const name of ["validate", "plan", "doctor"]) {
      const unmatched = await command.run([name, "--databases", `${database}_*`]);
      assert.equal(unmatched.code, 2);
      assert.match(unmatched.stderr, new RegExp(`--databases: ${database}_\\* matches no database of .*${database}`));
      const contradictory = await command.run([name, "--databases", "!a"]);
      assert.match(contradictory.stderr, /--databases: !a only excludes: add a name or a pattern/);
    }
    const empty = await command.run(["doctor", "--databases", ""]);
    assert.match(empty.stderr, /--databases: a database has a name/);
    assert.equal((await command.run(["doctor", ...pattern, "--database-count", "2"])).code, 2);
  });

  it("diff-parameters lists parameters set on the source that differ", async () => {
    const differing = await command.json<{ name: string }[]>(["diff-parameters", "-o", "json"]);
    assert(!differing.some(({ name }) => name === "port" || name === "wal_level"));
    await lab.source.query("ALTER SYSTEM SET work_mem = '7MB'");
    await lab.source.query("SELECT pg_reload_conf()");
    await until("the setting is loaded", async () => (await lab.source.query("SHOW work_mem"))[0]!.work_mem === "7MB");
    assert.match((await command.run(["diff-parameters"])).stdout, /^work_mem +7MB +4MB$/m);
  });

  it("watch and logs print plain lines without a terminal", async () => {
    const database = await lab.database(schema);
    const resource = declare();
    await resource.create(lab.inputs([database], { migrationMode: "Online" }));
    const name = resource.inputs.migrationName as string;
    const lag = new RegExp(`^${database}: behind .*transactions pending; \\d+ inserts/s`, "m");
    await until("show reports the measured lag", async () =>
      lag.test((await command.run(["show", "--name", name, "-o", "table"])).stdout),
    );
    let seen = "";
    const watching = command.run(["watch", "--name", name], {}, (text) => (seen += text));
    await until("watch shows the lag", () => seen !== "");
    const logging = command.run(["logs", "--name", name, "--follow"]);
    await command.json(["update", "--name", name, "--cutover"]);
    const [watched, logged] = await Promise.all([watching, logging]);
    assert.equal(watched.code, 0, watched.stderr);
    assert.match(watched.stdout, /^\d{4}-\S+Z (WaitingForUserAction|InProgress) \/ /);
    assert.match(watched.stdout.trimEnd().split("\n").at(-1)!, /Succeeded/);
    assert(!watched.stdout.includes("\u001b"), "no escape sequences");
    assert.match(logged.stdout, new RegExp(`info +\\[${database}\\] .*all equal`));
    const tail = await command.run(["logs", "--name", name, "--tail", "1"]);
    assert.equal(tail.stdout.trimEnd().split("\n").length, 1);

    const report = (output: string): Promise<Answer> => command.run(["report", "--name", name, "--output", output]);
    const printed = await report("json");
    assert.equal(strictlyParsed(printed.stdout).migration.state, "Succeeded");
    const file = join(command.directory, "reports", "audit.HTML");
    const written = await report(file);
    assert.deepEqual([written.code, written.stdout, written.stderr], [0, "", `written: ${file}\n`]);
    assert.match(await readFile(file, "utf8"), new RegExp(`<title>Migration ${name}: report</title>`));
    assert.match((await report("HTML")).stdout, /^<!doctype html>/);
    const wrong = await report("audit.pdf");
    assert.equal(wrong.code, 2);
    assert.match(wrong.stderr, /Allowed are html, json, and a file that ends in \.html or \.json/);
    assert.equal((await report(join(file, "audit.json"))).code, 2, "a file is not a directory");
    assert.equal((await command.run(["report", "--name", "none"])).code, 3);
  });

  it("show and logs print the line break of a database's name as text", async () => {
    const database = await lab.database(schema);
    await lab.source.query(`ALTER DATABASE ${database} RENAME TO "${database}\nforged"`);
    const resource = declare();
    await resource.create(lab.onlineInputs([`${database}\nforged`]));
    const args = ["--name", resource.inputs.migrationName as string];
    // Only a measured lag gives the database a line below its table.
    await until("the lag is measured", async () => {
      const { currentSubStateDetails } = await resource.refresh();
      return Object.values(currentSubStateDetails.dbDetails).every((one) => one.isLagMeasured);
    });
    const shown = await command.run(["show", ...args, "-o", "table"]);
    assert.match(shown.stdout, new RegExp(`^${database}\\\\nforged: `, "m"));
    const logged = await command.run(["logs", ...args]);
    assert.match(logged.stdout, new RegExp(`info +\\[${database}\\\\nforged\\] `));
    for (const { stdout } of [shown, logged]) assert.doesNotMatch(stdout, /^forged/m);
  });

  it("watch draws bars on a terminal", async function () {
    if (!has("script")) {
      process.stderr.write("    NOT TESTED: there is no command script, which gives a terminal\n");
      return this.skip();
    }
    const database = await lab.database(schema);
    const resource = declare();
    await resource.create(lab.inputs([database]));
    const line = shellLine("watch", "--name", resource.inputs.migrationName as string);
    const shown = execFileSync("script", ["-qec", `stty cols 120 rows 30; ${line}`, "/dev/null"], {
      env: command.environment,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
    });
    assert.match(shown, /Succeeded \/ Completed/);
    assert.match(shown, /● Prepare {3}● Validate {3}● Copy {3}◉ Succeeded/);
    assert.match(shown, new RegExp(`${database} +█{24} 100 % +2/2 tables +1/1 indexes`));
    // A watch of several seconds also moves the cursor back, to draw its lines again.
    const sequences = shown.split("\u001b[").slice(1);
    assert(!sequences.some((sequence) => /^[\d;]*m/.test(sequence)), "no colors on a terminal without colors");
    return undefined;
  });

  it("watch draws the lag history, in color if the terminal supports it", async function () {
    if (!has("script")) {
      process.stderr.write("    NOT TESTED: there is no command script, which gives a terminal\n");
      return this.skip();
    }
    const database = await lab.database(schema);
    const resource = declare();
    await resource.create(lab.inputs([database], { migrationMode: "Online" }));
    const name = resource.inputs.migrationName as string;
    await lab.target.query(
      `INSERT INTO pgmigration.sample (migration, at, kept_until, bytes_copied, bytes_total, lag_bytes, latency_seconds)
       SELECT $1, now() - i * interval '1 minute', 'infinity', 0, 0, 1000000, 60 FROM generate_series(5, 10) i`,
      { values: [name] },
    );
    const line = shellLine("watch", "--name", name);
    const terminal = spawn("script", ["-qec", `stty cols 120 rows 30; ${line}`, "/dev/null"], {
      env: { ...command.environment, TERM: "xterm-256color" },
    });
    let shown = "";
    terminal.stdout.setEncoding("utf8").on("data", (text: string) => {
      shown += text.replaceAll("\u001b[36m", "<cyan>").replaceAll("\u001b[39m", "</>");
    });
    const ended = once(terminal, "close");
    try {
      await until("the database is replicating", () => /<cyan>◉<\/> Follow/.test(shown));
      // Ten minutes in forty columns: the first half has the maximum, the end has zero.
      await until("the lag is drawn", () => /behind .* s {2}<cyan>█{15,}▁+<\/>/.test(shown));
    } finally {
      terminal.stdin.write("\u0003");
      await ended;
    }
    return undefined;
  });

  it("worker runs a migration in the foreground", async () => {
    const database = await lab.database(schema);
    const resource = declare();
    const created = resource.create(lab.inputs([database], { runner: "external" }));
    await until(
      "the migration is recorded",
      async () => (await command.json<{ name: string }[]>(["list"])).length === 1,
    );
    // No worker runs yet.
    const [{ name }] = await command.json<[{ name: string }]>(["list"]);
    const worked = await command.run(["worker", "--name", name]);
    assert.equal(worked.code, 0, worked.stderr);
    assert.match(worked.stderr, /all equal/);
    assert.equal((await created).state, "Succeeded");
    await assertSameContent({ server: lab.source, database }, { server: lab.target, database });
  });
  it("every command has help with an example", async () => {
    assert.match((await command.run(["update", "--help"])).stdout, /Examples?.*:\n {2}pg-migration update/);
    const { commands } = buildProgram();
    assert.equal(commands.length, 21);
    for (const each of commands) {
      let help = "";
      each.configureOutput({ writeOut: (text) => (help += text) }).outputHelp();
      assert.match(help, new RegExp(`Examples?.*:\\n(.*\\n)?.*pg-migration ${each.name()}`), each.name());
    }
  });

  it("delete of a migration in progress uses the source's password, or needs none", async () => {
    for (const password of [command.environment.PG_MIGRATION_SOURCE_PASSWORD, undefined]) {
      const spec = specOf(parseInputs(lab.inputs(["app"], { runner: "external" })));
      const address = {
        target: { ...lab.administrator, sslMode: "Disable" as const },
        maintenanceDatabase: "postgres",
      };
      await withStore(address, "test", (store) => insertMigration(store, spec));
      const args = ["delete", "--name", spec.migrationName, "--yes"];
      const deleted = await command.run(args, { PG_MIGRATION_SOURCE_PASSWORD: password });
      assert.equal(deleted.code, 0, deleted.stderr);
      if (password !== undefined) assert.doesNotMatch(deleted.stderr, /password is wrong/);
    }
  });

  it("delete prompts for a password without echo and for a confirmation", async function () {
    if (!has("script")) {
      process.stderr.write("    NOT TESTED: there is no command script, which gives a terminal\n");
      return this.skip();
    }
    const database = await lab.database(schema);
    const resource = declare();
    await resource.create(lab.inputs([database]));
    const { PGPASSWORD: password, ...environment } = command.environment;
    const line = shellLine("delete", "--name", resource.inputs.migrationName as string);
    const terminal = spawn("script", ["-qec", line, "/dev/null"], { env: { ...environment, TERM: "dumb" } });
    let shown = "";
    const answers = [
      { to: /Password of azureadmin@127\.0\.0\.1:\d+: $/, type: password! },
      { to: /Delete the migration .*\[y\/N\] $/, type: "n" },
    ];
    terminal.stdout.setEncoding("utf8").on("data", (text: string) => {
      shown += text;
      if (answers[0]?.to.test(shown)) terminal.stdin.write(`${answers.shift()!.type}\r`);
    });
    const [status] = (await once(terminal, "close")) as [number];
    assert.deepEqual(answers, [], shown);
    assert(!shown.includes(password!), "the typed password is not shown");
    assert.match(shown, /nothing was changed: you declined/);
    assert.equal(status, 9);
    assert.equal((await resource.refresh()).state, "Succeeded");
    return undefined;
  });

  it("the manual page contains every command, flag and exit code", async () => {
    const page = manPage(buildProgram());
    const file = join(dirname(commandPath), "../dist/pg-migration.1");
    assert.equal(await readFile(file, "utf8"), page, "npm run build generates it");
    const manifest = JSON.parse(await readFile(join(dirname(commandPath), "../package.json"), "utf8")) as {
      man: string[];
    };
    assert.deepEqual(manifest.man, ["./dist/pg-migration.1"]);
    const plain = page.replaceAll("\\-", "-");
    for (const each of buildProgram().commands) {
      assert(plain.includes(`.SS pg-migration ${each.name()}`), each.name());
      for (const { flags, hidden } of each.options) if (!hidden) assert(plain.includes(flags), flags);
    }
    assert.match(plain, /\.TP\n\\fB7\\fR\ncontent differs/);
    if (!has("man")) return;
    const { stdout, stderr } = spawnSync("man", ["--warnings", "-P", "cat", "-l", file], { encoding: "utf8" });
    assert.equal(stderr, "", "the formatter has no complaints");
    assert.match(stdout, /update --service prod --name crm --cutover --wait/);
  });

  it("completion scripts complete commands and flags", async () => {
    const bash = (await command.run(["completion", "bash"])).stdout;
    const complete = `${bash}\nCOMP_WORDS=(pg-migration upd); COMP_CWORD=1; _pg_migration; echo "\${COMPREPLY[@]}"
      COMP_WORDS=(pg-migration update --cutover-); COMP_CWORD=2; _pg_migration; echo "\${COMPREPLY[@]}"`;
    assert.equal(execFileSync("bash", ["-c", complete], { encoding: "utf8" }), "update\n--cutover-window\n");
    for (const shell of ["zsh", "fish"]) {
      const { stdout } = await command.run(["completion", shell]);
      assert.match(stdout, /cutover/);
      if (has(shell)) execFileSync(shell, ["-n", await command.file(`completion.${shell}`, stdout)]);
    }
  });

  it("dashboard listens on other addresses only with the user's own token", async () => {
    const refused = await command.run(["dashboard", "--listen", "0.0.0.0"]);
    assert.equal(refused.code, 2);
    assert.match(refused.stderr, /set your own token in PG_MIGRATION_DASHBOARD_TOKEN/);
    const short = await command.run(["dashboard"], { PG_MIGRATION_DASHBOARD_TOKEN: "short" });
    assert.equal(short.code, 2);
  });
});
