import assert from "node:assert/strict";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readTargets } from "../../provider/dist/cli/targets/read-targets.js";

describe("a list of targets", () => {
  let directory: string;
  const environment = process.env;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "pg-migration-targets-"));
  });
  beforeEach(() => {
    process.env = {
      ...environment,
      ...{ PGUSER: "migrator", PGPASSWORD: "shared-secret", DB2_PASSWORD: "own-secret" },
    };
  });
  afterEach(() => {
    process.env = environment;
  });
  after(() => rm(directory, { recursive: true }));

  const file = async (name: string, text: string): Promise<string> => {
    const path = join(directory, name);
    await writeFile(path, text);
    return path;
  };

  /** What the assertions compare: names, logins and passwords. */
  const summary = ({ targets }: Awaited<ReturnType<typeof readTargets>>) =>
    targets.map(({ name, address: { target, maintenanceDatabase } }) => [
      name,
      `${target.user}@${target.host}:${target.port}/${maintenanceDatabase}`,
      target.password ?? target.auth,
    ]);

  it("in YAML reports an entry whose aliases multiply without end, or have no anchor, and keeps the others", async () => {
    const many = (of: string): string => Array.from({ length: 9 }, () => of).join(", ");
    const list = await file(
      "aliases.yaml",
      `- host: db1\n- host: db2\n  a: &a [${many("x")}]\n  b: &b [${many("*a")}]\n  c: &c [${many("*b")}]\n  name: [${many("*c")}]\n- host: *none\n`,
    );
    const { targets, problems } = await readTargets(list, {});
    assert.deepEqual(
      targets.map(({ name }) => name),
      ["db1:5432"],
    );
    assert.deepEqual(
      problems.map(({ place }) => place),
      ["aliases.yaml:2", "aliases.yaml:7"],
    );
    assert.match(problems[0]!.reason, /Excessive alias count/);
  });

  it("reads CSV, reports every wrong line in one report, and keeps the others", async () => {
    const list = await file(
      "targets.csv",
      [
        "\uFEFFname,host,port,user,passwordEnv,password,maintenanceDatabase",
        "berlin,db1,,,,,",
        '"paris, main",db2,5433,"own ""role""",DB2_PASSWORD,,records',
        "# a comment",
        "short,db3",
        "bad-port,db4,70000,,,,",
        "leak,db5,,,,hunter2,",
        "twice,DB1,,,,,",
        "berlin,db6,,,,,",
        "unset,db7,,,NO_SUCH_VARIABLE,,",
        'open,"db8,,,,,',
      ].join("\r\n"),
    );
    const found = await readTargets(list, {});
    assert.deepEqual(summary(found), [
      ["berlin", "migrator@db1:5432/postgres", "shared-secret"],
      ["paris, main", 'own "role"@db2:5433/records', "own-secret"],
    ]);
    assert.deepEqual(
      found.problems.map(({ place, reason }) => `${place}: ${reason}`),
      [
        "targets.csv:5: 2 cells, but the first line has 7 names",
        'targets.csv:6: --port: invalid port "70000": expected 1 to 65535',
        "targets.csv:7: password: a list contains no passwords: give passwordEnv, passwordFile or auth, or add a line to ~/.pgpass",
        "targets.csv:8: the target db1:5432 is also at targets.csv:2; remove one of the two",
        "targets.csv:9: the name berlin is also at targets.csv:2; remove one of the two",
        "targets.csv:10: passwordEnv: the variable NO_SUCH_VARIABLE is not set",
        "targets.csv:11: a quoted cell has no end",
      ],
    );
    assert(!JSON.stringify(found.problems).includes("hunter2"));
  });

  it("reads YAML and JSON with the lines of their entries, and completes entries with the options", async () => {
    const yaml = await file(
      "targets.yaml",
      "targets:\n  - host: db1\n    auth: entra\n\n  - hots: db2\n  - 7\n  - host: db3\n    auth: { kind: rdsIam, region: eu-west-1 }\n    user: own\n",
    );
    const found = await readTargets(yaml, { port: "6432", user: "shared" });
    assert.deepEqual(summary(found), [
      ["db1:6432", "shared@db1:6432/postgres", { kind: "entra" }],
      ["db3:6432", "own@db3:6432/postgres", { kind: "rdsIam", region: "eu-west-1" }],
    ]);
    assert.deepEqual(
      found.problems.map(({ place, reason }) => `${place}: ${reason}`),
      [
        'targets.yaml:5: Unrecognized key: "hots"',
        "targets.yaml:5: host: is missing: give the target's host, or a service",
        "targets.yaml:6: expected an object",
      ],
    );
    const json = await file("targets.json", '[\n  {"host": "db1"},\n  {"host": "db 2"}\n]\n');
    const second = await readTargets(json, {});
    assert.deepEqual(summary(second), [["db1:5432", "migrator@db1:5432/postgres", "shared-secret"]]);
    assert.match(second.problems[0]!.place, /^targets\.json:3$/);
    const broken = await readTargets(await file("broken.yaml", "- host: db1\n- host: [\n"), {});
    assert.deepEqual([broken.targets.length, broken.problems[0]?.place], [0, "broken.yaml:3"]);
  });

  it("reads a directory of service files, where a section may have its own password", async () => {
    const services = await mkdtemp(join(directory, "services-"));
    await writeFile(join(services, "a.conf"), "[one]\nhost=db1\nuser=first\npassword=p1\n[none]\nport=1\n");
    await writeFile(join(services, "b.conf"), "[two]\nhost=db2\nport=5433\nsslmode=require\n");
    await writeFile(join(services, "notes.txt"), "[three]\nhost=db3\n");
    process.env.PGHOST = "must-not-be-used";
    const found = await readTargets(services, {});
    assert.deepEqual(summary(found), [
      ["one", "first@db1:5432/postgres", "p1"],
      ["two", "migrator@db2:5433/postgres", "shared-secret"],
    ]);
    assert.deepEqual(found.problems, [{ place: "a.conf:[none]", reason: "host: is missing" }]);
  });

  describe("from Azure Resource Graph", () => {
    let azure: Server;
    const requests: { authorization: string | undefined; body: Record<string, unknown> }[] = [];
    const pages = [
      {
        totalRecords: 3,
        data: [
          { name: "a", host: "a.example" },
          { name: "b", host: null },
        ],
        $skipToken: "next",
      },
      { totalRecords: 3, data: [{ name: "c", host: "c.example", port: 6000 }] },
    ];

    before(async () => {
      azure = createServer((request, response) => {
        let text = "";
        request.on("data", (chunk: Buffer) => (text += chunk.toString()));
        request.on("end", () => {
          const body = JSON.parse(text) as Record<string, unknown>;
          requests.push({ authorization: request.headers.authorization, body });
          const isForbidden = body.query === "forbidden";
          const { $skipToken } = body.options as { $skipToken?: string };
          response.writeHead(isForbidden ? 403 : 200, { "content-type": "application/json" });
          const refusal = { error: { code: "AuthorizationFailed", message: "no access" } };
          response.end(JSON.stringify(isForbidden ? refusal : pages[$skipToken === undefined ? 0 : 1]));
        });
      });
      await new Promise<void>((resolve) => azure.listen(0, "127.0.0.1", resolve));
    });
    after(() => new Promise((resolve) => azure.close(resolve)));

    const manager = () => ({
      endpoint: `http://127.0.0.1:${(azure.address() as AddressInfo).port}`,
      token: () => Promise.resolve("issued-token"),
      fetch,
    });

    it("reads every page, and reports rows without a host", async () => {
      const found = await readTargets("azure:", { auth: "entra" }, manager());
      assert.deepEqual(summary(found), [
        ["a", "migrator@a.example:5432/postgres", { kind: "entra" }],
        ["c", "migrator@c.example:6000/postgres", { kind: "entra" }],
      ]);
      assert.deepEqual(found.problems, [
        { place: "row 2 of Azure", reason: "host: is missing: give the target's host, or a service" },
      ]);
      assert.deepEqual(
        requests.map(({ authorization }) => authorization),
        ["Bearer issued-token", "Bearer issued-token"],
      );
      assert.match(String(requests[0]!.body.query), /microsoft\.dbforpostgresql\/flexibleservers/);
      assert.deepEqual(requests[1]!.body.options, { resultFormat: "objectArray", $skipToken: "next" });
    });

    it("reports a refusal of Azure and a silent endpoint", async () => {
      const query = await file("forbidden.kql", "forbidden");
      await assert.rejects(readTargets(query, {}, manager()), /403: .*AuthorizationFailed[^]*role Reader/);
      const silent = { ...manager(), endpoint: "http://127.0.0.1:1" };
      await assert.rejects(readTargets("azure:resources", {}, silent), /does not answer at http:\/\/127\.0\.0\.1:1/);
      for (const answer of ["<html>proxy</html>", '{"data": {"columns": []}}']) {
        const other = { ...manager(), fetch: () => Promise.resolve(new Response(answer)) };
        await assert.rejects(
          readTargets("azure:", {}, other),
          /is not that of Azure Resource Graph: [<{][^]*To do: check/,
        );
      }
    });
  });
});
