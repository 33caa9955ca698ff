import assert from "node:assert/strict";
import { type AddressInfo, connect, createServer } from "node:net";
import * as lifecycle from "../../provider/dist/resource/lifecycle.js";
import { parseInputs } from "../../provider/src/inputs/check-inputs";
import { specOf } from "../../provider/src/inputs/inputs";
import { insertMigration } from "../../provider/src/store/records";
import { Store } from "../../provider/src/store/store";
import { freePort, EmbeddedServer } from "../support/servers/embedded-server";
import { assertFinding } from "../support/findings";
import { Lab } from "../support/lab";
import { Pooler } from "../support/servers/pooler";
import { Resource } from "../support/resource";

describe("a refused migration", () => {
  let lab: Lab;
  let database: string;
  let databasesBefore: string[];

  before(async () => {
    lab = await Lab.start();
    database = await lab.database("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
    databasesBefore = await lab.targetDatabases();
  });

  after(() => lab.stop());

  /** Asserts that neither server was changed. The check after every test covers slots, publications and sessions. */
  async function assertUntouched(): Promise<void> {
    assert.deepEqual(await lab.targetDatabases(), databasesBefore);
  }

  /** Fails in the validation, is kept as a resource with its findings, and can be destroyed. */
  async function refused(inputs: Record<string, unknown>, ...expected: RegExp[]): Promise<string> {
    const resource = new Resource();
    const text = await Resource.failure(resource.create(inputs));
    for (const pattern of [/ValidationFailed/, /To do:/, /\nCodes: https:.*docs\/findings\.md/, ...expected])
      assert.match(text, pattern);
    assert.equal(resource.status.state, "ValidationFailed");
    assert.equal(resource.status.currentSubStateDetails.validationDetails?.status, "Failed");
    assert.equal((await resource.diff()).changes, true);
    await assertUntouched();
    await resource.destroy();
    return text;
  }

  const online = { migrationMode: "Online" };

  it("names a wrong password on the source", async () => {
    const inputs = lab.inputs([database]);
    const text = await refused(
      { ...inputs, source: { ...lab.source.login, password: "not-the-password" } },
      /603100/,
      /the role or the password is wrong/,
    );
    assert.doesNotMatch(text, /not-the-password/);
  });

  it("names a wrong password once, with all databases that it concerns", async () => {
    const databases = [database, await lab.database(""), await lab.database("")];
    const source = { ...lab.source.login, password: "not-the-password", sslMode: "Disable" };
    const resource = new Resource();
    const text = await Resource.failure(resource.create(lab.inputs(databases, { source })));
    assert.equal(text.match(/the role or the password is wrong/g)?.length, 1);
    assert.match(text, new RegExp(`Instance .*for the databases ${databases.join(", ")}`));
    await resource.destroy();
  });

  it("is not refused for a record that never had a worker", async () => {
    const inputs = lab.inputs([database]);
    const store = await Store.open({ ...parseInputs(inputs) }, "test");
    await insertMigration(store, specOf(parseInputs({ ...inputs, migrationName: "never-started" })));
    await store.close();
    const resource = new Resource();
    assert.equal((await resource.create(inputs)).state, "Succeeded");
    await resource.destroy();
    const other = new Resource();
    other.outputs = { ...inputs, migrationName: "never-started" };
    await other.destroy();
    await lab.target.query(`DROP DATABASE ${database}`);
  });

  it("names an sslRootCert that cannot be read in the preview, before anything is recorded", async () => {
    const inputs = lab.inputs([database], {
      source: { ...lab.source.login, sslMode: "VerifyCA", sslRootCert: "/no/such/file.pem" },
    });
    const unreadable = /^source\.sslRootCert: .*neither PEM text nor a readable file/;
    assert.match((await new Resource().failures(inputs)).join(), unreadable);
    const endless = { ...lab.source.login, sslMode: "VerifyCA", sslRootCert: "/dev/zero" };
    assert.match((await new Resource().failures({ ...inputs, source: endless })).join(), unreadable);
    await assert.rejects(
      lifecycle.create(inputs, () => undefined),
      /source\.sslRootCert/,
    );
    await assertUntouched();
  });

  it("names a wrong password on the target, where nothing can be recorded", async () => {
    const inputs = lab.inputs([database], { target: { ...lab.administrator, password: "not-the-password" } });
    const text = await Resource.failure(new Resource().create(inputs));
    assert.match(text, /603100.*the role or the password is wrong/s);
    assert.doesNotMatch(text, /not-the-password/);
    await assertUntouched();
  });

  it("names a proxy before the source that does not support replication, as many poolers", async () => {
    const pooler = createServer((client) =>
      client.once("data", (startUp) => {
        // The answer of PgBouncer: ErrorResponse with severity and message.
        const fields = Buffer.from("SFATAL\0C08P01\0Munsupported startup parameter: replication\0\0");
        const length = Buffer.alloc(4);
        length.writeInt32BE(fields.length + 4);
        if (startUp.includes("replication\0")) {
          client.end(Buffer.concat([Buffer.from("E"), length, fields]));
          return;
        }
        const server = connect(lab.source.login.port, "127.0.0.1");
        server.write(startUp);
        client.pipe(server).pipe(client);
        for (const socket of [client, server]) socket.on("error", () => undefined);
      }),
    );
    await new Promise<void>((listening) => pooler.listen(0, "127.0.0.1", listening));
    const { port } = pooler.address() as AddressInfo;
    const inputs = lab.inputs([database], online);
    await refused(
      { ...inputs, source: { ...lab.source.login, port, sslMode: "Disable" } },
      /no connection for replication: .*unsupported startup parameter: replication/,
      /give host and port of the server itself/,
    );
    await new Promise((closed) => pooler.close(closed));
  });

  it("names a closed port, on either side", async () => {
    const port = await freePort();
    await refused(
      lab.inputs([database], { source: { ...lab.source.login, port } }),
      /603000/,
      /nothing answers/,
      /pg_isready/,
    );
    const inputs = lab.inputs([database], { target: { ...lab.administrator, port } });
    assert.match(await Resource.failure(new Resource().create(inputs)), /603000.*nothing answers.*pg_isready/s);
  });

  it("names a missing database", () => refused(lab.inputs(["nowhere"]), /603102/, /nowhere/));

  it("names a server without TLS if the inputs require TLS", async () => {
    await refused(
      lab.inputs([database], { source: { ...lab.source.login, sslMode: "Require" } }),
      /603001/,
      /does not support TLS/,
    );
  });

  it("names an extension that azure.extensions does not allow, with the command that allows it", async () => {
    const withExtension = await lab.database("CREATE EXTENSION hstore; CREATE TABLE h (v hstore)");
    await refused(
      lab.inputs([withExtension]),
      /603108/,
      /hstore/,
      /az postgres flexible-server parameter set .*HSTORE/,
    );
  });

  it("names a role that may not read everything", async () => {
    await lab.source.query("CREATE ROLE reader LOGIN PASSWORD 'reader'");
    const source = { ...lab.source.login, user: "reader", password: "reader" };
    await refused(lab.inputs([database], { source }), /603110/, /public\.t/, /GRANT SELECT/);
    await lab.source.query("GRANT SELECT ON t TO reader; ALTER TABLE t ENABLE ROW LEVEL SECURITY", { database });
    await refused(lab.inputs([database], { source }), /603110/, /row-level security/, /BYPASSRLS/);
    await lab.source.query("ALTER TABLE t DISABLE ROW LEVEL SECURITY; REVOKE SELECT ON t FROM reader", { database });
  });

  it("names a role without the privileges for replication and publications (online)", async () => {
    await lab.source.query("CREATE ROLE copier LOGIN PASSWORD 'copier'; GRANT pg_read_all_data TO copier");
    const source = { ...lab.source.login, user: "copier", password: "copier" };
    await refused(lab.inputs([database], { ...online, source }), /603104/, /REPLICATION/, /may not publish public\.t/);
  });

  it("names an insufficient wal_level, missing slots, and how to change both", async () => {
    const parameters = { wal_level: "replica", max_replication_slots: 1 };
    const source = await EmbeddedServer.start({ major: 14, parameters });
    try {
      await source.query("CREATE DATABASE plain");
      await refused(
        lab.inputs(["plain"], { ...online, source: source.login }),
        /603107/,
        /ALTER SYSTEM SET wal_level = logical/,
        /603105/,
        /ALTER SYSTEM SET max_replication_slots = 2/,
      );
    } finally {
      await source.stop();
    }
  });

  it("names a pooler in transaction mode, and warns of one that keeps sessions together", async () => {
    for (const mode of ["transaction", "session"] as const) {
      const pooler = await Pooler.to(lab.source.login.port, mode);
      try {
        const source = { ...lab.source.login, host: "127.0.0.1", port: pooler.port, sslMode: "Disable" };
        if (mode === "transaction") {
          const what = /Failed?[^]*a pooler in transaction or statement mode stands between the worker and the source/;
          await refused(
            lab.inputs([database], { source }),
            what,
            /set host and port to those of the source server itself/,
          );
          continue;
        }
        const resource = new Resource();
        await resource.create(lab.inputs([database], { source, migrationOption: "Validate" }));
        assertFinding(resource.status, /a pooler or proxy stands between the worker and the source/);
        await resource.destroy();
      } finally {
        await pooler.close();
      }
    }
  });

  it("names a pooler in transaction mode before the target, and keeps no lease for the next attempt without it", async () => {
    const pooler = await Pooler.to(lab.administrator.port, "transaction");
    try {
      const inputs = lab.inputs([database]);
      const target = { ...lab.administrator, host: "127.0.0.1", port: pooler.port, sslMode: "Disable" };
      assert.match(
        await Resource.failure(new Resource().create({ ...inputs, target })),
        /PGM-102: a pooler in transaction or statement mode .* the target.*To do: set host and port to those of the target server itself/s,
      );
      await assertUntouched();
      const resource = new Resource();
      assert.equal((await resource.create({ ...inputs, migrationOption: "Validate" })).state, "Succeeded");
      await resource.destroy();
    } finally {
      await pooler.close();
    }
  });

  it("names a target that is older than the source", async () => {
    const parameters = { wal_level: "logical", idle_replication_slot_timeout: "1h" };
    const source = await EmbeddedServer.start({ major: 18, parameters });
    try {
      await source.query("CREATE DATABASE newer");
      await refused(
        lab.inputs(["newer"], { ...online, source: source.login }),
        /603400/,
        /older than the source/,
        /invalidates a slot that is idle for 3600 s/,
      );
    } finally {
      await source.stop();
    }
  });

  it("names a target role that may not create databases", async () => {
    await lab.target.query("CREATE ROLE weak LOGIN PASSWORD 'weak'; GRANT azure_pg_admin TO weak");
    const target = { ...lab.administrator, user: "weak", password: "weak" };
    await refused(lab.inputs([database], { target }), /PGM-301/, /CREATEDB/);
  });

  it("reports all invalid inputs at once, by property", async () => {
    const wrong: [Record<string, unknown>, RegExp][] = [
      [{ migrationName: "has space" }, /^migrationName: .*letters, digits and hyphens/],
      [{ migrationName: "-leading" }, /^migrationName/],
      [{ migrationName: "x".repeat(64) }, /^migrationName/],
      [{ dbsToMigrate: [] }, /^dbsToMigrate: give at least one/],
      [{ dbsToMigrate: ["a", "a"] }, /^dbsToMigrate: the list contains a database twice/],
      [{ dbsToMigrate: ["ü".repeat(32)] }, /^dbsToMigrate\[0\]: .*63 bytes/],
      [{ dbsToMigrate: ["template0"] }, /^dbsToMigrate\[0\]/],
      [{ dbsToMigrate: ["postgres"], maintenanceDatabase: "postgres" }, /^dbsToMigrate: .*maintenance database/],
      [{ migrationMode: "onlin" }, /^migrationMode: .*"Offline", "Online"/],
      [{ triggerCutover: true }, /^triggerCutover: 603114/],
      [{ overwriteDbsInTarget: "yes" }, /^overwriteDbsInTarget/],
      [{ overwriteDbsInTaget: true }, /^overwriteDbsInTaget: .*did you mean overwriteDbsInTarget\?/],
      [{ source: { ...lab.source.login, port: 0 } }, /^source\.port/],
      [{ source: { ...lab.source.login, password: undefined } }, /^source\.password: is missing/],
      [{ source: { ...lab.source.login, passwort: "x" } }, /^source\.passwort: .*did you mean password\?/],
      [{ target: { ...lab.source.login } }, /^target: .*same server/],
    ];
    for (const [change, expected] of wrong) {
      const text = (await new Resource().failures(lab.inputs([database], change))).join("\n");
      assert.match(text, expected, JSON.stringify(change));
    }
    const all = Object.assign({}, ...wrong.map(([change]) => change)) as Record<string, unknown>;
    assert((await new Resource().failures(lab.inputs([database], all))).length >= 5, "not only the first one");
  });
});
