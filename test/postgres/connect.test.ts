import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Client } from "pg";
import { UnreachableError } from "../../provider/src/errors";
import { requestCancel } from "../../provider/src/postgres/connection/cancel-request";
import { connect, tagSessions } from "../../provider/src/postgres/connection/connect";
import type { Endpoint } from "../../provider/src/postgres/connection/endpoint";
import { connectionErrorOf } from "../../provider/src/postgres/connection/session";
import { endEarlierSessions } from "../../provider/src/worker/cleanup/earlier-sessions";
import { type SessionOwner, ownerTag } from "../../provider/src/worker/context/session-owner";
import { CuttableProxy } from "../cdc/cuttable-proxy";
import { until } from "../support/until";
import { certificateFor, type ServerCertificate } from "../support/servers/certificates";
import { EmbeddedServer } from "../support/servers/embedded-server";
import { startTlsGate } from "../support/servers/tls-gate";

describe("a connection", () => {
  let plain: EmbeddedServer;
  let encrypted: EmbeddedServer;
  let tls: ServerCertificate;

  before(async () => {
    tls = await certificateFor("localhost");
    plain = await EmbeddedServer.start({ major: 14, parameters: { max_wal_senders: 1 } });
    encrypted = await EmbeddedServer.start({
      major: 17,
      parameters: { ssl: "on", ssl_cert_file: "server.crt", ssl_key_file: "server.key", ssl_ca_file: "ca.crt" },
      files: { "server.crt": tls.certificate, "server.key": tls.privateKey, "ca.crt": tls.authority },
      hba: [
        ...["hostnossl all guarded all reject", "hostssl all unguarded all reject"],
        ...["hostssl all certified,half_certified all cert", "hostnossl all certified all reject"],
      ],
    });
    for (const role of ["guarded", "unguarded", "certified", "half_certified"])
      await encrypted.query(`CREATE ROLE ${role} LOGIN PASSWORD '${role}'`);
  });

  after(() => Promise.all([plain.stop(), encrypted.stop()]));

  /** Whether the session is encrypted, from the server's view. */
  async function isEncrypted(server: EmbeddedServer, change: Partial<Endpoint>): Promise<boolean> {
    const client = await connect(
      { ...server.login, host: "localhost", sslMode: "Prefer", ...change },
      { database: "postgres", purpose: "test" },
    );
    try {
      const { rows } = await client.query<{ ssl: boolean }>("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()");
      return rows[0]!.ssl;
    } finally {
      await client.end();
    }
  }

  const refused = (server: EmbeddedServer, change: Partial<Endpoint>, expected: RegExp): Promise<void> =>
    assert.rejects(isEncrypted(server, change), expected);

  for (const replication of [false, true])
    it(`enters a read-only database whose login trigger writes, ${replication ? "also for replication" : "as an application cannot"}`, async () => {
      await encrypted.query("DROP DATABASE IF EXISTS fenced");
      await encrypted.query("CREATE DATABASE fenced");
      const entering = `CREATE TABLE logins (at timestamptz);
        CREATE FUNCTION record_login() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO logins VALUES (now()); END';
        CREATE EVENT TRIGGER on_login ON login EXECUTE FUNCTION record_login(); ALTER EVENT TRIGGER on_login ENABLE ALWAYS;
        ALTER DATABASE fenced SET default_transaction_read_only = on`;
      await encrypted.query(entering, { database: "fenced" });
      await assert.rejects(encrypted.query("SELECT", { database: "fenced" }), /read-only transaction/);
      const endpoint = { ...encrypted.login, host: "localhost", sslMode: "Prefer" } as const;
      const client = await connect(endpoint, { database: "fenced", purpose: "test", replication });
      const { rows } = await client.query("SHOW transaction_read_only");
      await client.end();
      assert.deepEqual(rows, [{ transaction_read_only: "off" }]);
    });

  it("reports the error that broke it while it was idle", async () => {
    const client = await connect({ ...plain.login, sslMode: "Disable" }, { database: "postgres", purpose: "test" });
    const { rows } = await client.query<{ pid: number }>("SELECT pg_backend_pid() AS pid");
    const broken = new Promise((resolve) => client.once("end", resolve));
    await plain.query("SELECT pg_terminate_backend($1)", { values: [rows[0]!.pid] });
    await broken;
    const error = await client.query("SELECT").then(
      () => assert.fail("it is gone"),
      (failure: unknown) => failure,
    );
    assert.match(String(error), /not queryable/);
    assert.match(String(connectionErrorOf(error, [client])), /terminating connection due to administrator command/);
    const other = new Error("permission denied");
    assert.equal(connectionErrorOf(other, [client]), other);
    await client.end();
  });

  it("with Disable never uses TLS; with Prefer uses TLS if the server supports it", async () => {
    assert.equal(await isEncrypted(encrypted, { sslMode: "Disable" }), false);
    assert.equal(await isEncrypted(encrypted, { sslMode: "Prefer" }), true);
    assert.equal(await isEncrypted(plain, { sslMode: "Prefer" }), false);
  });

  it("with Prefer connects without TLS if pg_hba.conf refuses TLS, as libpq does", async () => {
    const login = { user: "unguarded", password: "unguarded" };
    assert.equal(await isEncrypted(encrypted, { ...login, sslMode: "Prefer" }), false);
    await refused(encrypted, { ...login, sslMode: "Require" }, /PGM-101.*pg_hba\.conf/s);
  });

  it("with Prefer asks a server without TLS once, and again if it refuses a session without TLS", async () => {
    const proxy = await CuttableProxy.to({ ...encrypted.login, sslMode: "Prefer" });
    const { port } = proxy.endpoint;
    const questions = (): number =>
      proxy.turns.filter(({ request }) => request.startsWith("\0\0\0\b\x04\xd2\x16/")).length;
    const configure = async (setting: string): Promise<void> => {
      await encrypted.query(`ALTER SYSTEM ${setting}`);
      await encrypted.query("SELECT pg_reload_conf()");
    };
    try {
      await configure("SET ssl = off");
      await until("the server has no TLS", async () => !(await isEncrypted(encrypted, { port, sslMode: "Prefer" })));
      const asked = questions();
      for (let session = 0; session < 3; session++) await isEncrypted(encrypted, { port, sslMode: "Prefer" });
      assert.equal(questions(), asked);
      await configure("RESET ssl");
      const guarded = { port, user: "guarded", password: "guarded", sslMode: "Prefer" as const };
      await until("the server has TLS", () => isEncrypted(encrypted, guarded).catch(() => false));
      assert.equal(await isEncrypted(encrypted, { port, sslMode: "Prefer" }), true);
    } finally {
      await configure("RESET ssl");
      await proxy.close();
    }
  });

  it("with Prefer connects without TLS if the server requires a client certificate, and otherwise reports that requirement", async () => {
    const half = { user: "half_certified", password: "half_certified" };
    assert.equal(await isEncrypted(encrypted, { ...half, sslMode: "Prefer" }), false);
    const whole = { user: "certified", password: "certified" };
    for (const sslMode of ["Prefer", "Require"] as const)
      await refused(encrypted, { ...whole, sslMode }, /PGM-101.*client certificate.*To do: .*hostssl all certified/s);
  });

  it("reports an expired certificate, which Require does not check", async () => {
    const old = await certificateFor("localhost", { hasExpired: true });
    const gate = await startTlsGate(encrypted.port, old);
    const there = { port: gate.port, sslRootCert: old.authority };
    try {
      assert.equal(await isEncrypted(encrypted, { port: gate.port, sslMode: "Require" }), false, "behind the gate");
      for (const sslMode of ["VerifyCA", "VerifyFull"] as const)
        await refused(encrypted, { ...there, sslMode }, /603001.*has expired.*To do: .*renew/s);
    } finally {
      await gate.stop();
    }
  });

  it("is canceled with TLS if a proxy refuses other connections", async () => {
    const gate = await startTlsGate(encrypted.port, tls);
    const place = { ...encrypted.login, host: "localhost", port: gate.port, sslRootCert: tls.authority };
    const client = await connect({ ...place, sslMode: "VerifyFull" }, { database: "postgres", purpose: "test" });
    try {
      const slept = client.query("SELECT pg_sleep(20)").then(
        () => "to its end",
        (error: unknown) => String(error),
      );
      await until("it sleeps", async () => {
        const sleeping = "SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
        return (await encrypted.query(sleeping)).length > 0;
      });
      await requestCancel(client);
      assert.match(await slept, /canceling statement due to user request/);
    } finally {
      await client.end();
      await gate.stop();
    }
  });

  it("with Require uses TLS without verification, and verifies the chain if a root certificate is given", async () => {
    assert.equal(await isEncrypted(encrypted, { sslMode: "Require" }), true);
    assert.equal(await isEncrypted(encrypted, { sslMode: "Require", sslRootCert: tls.authority }), true);
    const other = await certificateFor("localhost");
    await refused(encrypted, { sslMode: "Require", sslRootCert: other.authority }, /603001/);
    await refused(plain, { sslMode: "Require" }, /603001.*does not support TLS/s);
  });

  it("with VerifyCA verifies the chain but not the name, with VerifyFull both", async () => {
    const trusted = { sslRootCert: tls.authority };
    await refused(encrypted, { sslMode: "VerifyCA" }, /603001/);
    assert.equal(await isEncrypted(encrypted, { sslMode: "VerifyCA", host: "127.0.0.1", ...trusted }), true);
    assert.equal(await isEncrypted(encrypted, { sslMode: "VerifyFull", ...trusted }), true);
    const otherName = /603001.*127\.0\.0\.1 is not in the cert.*To do: set host to a name in the certificate/s;
    await refused(encrypted, { sslMode: "VerifyFull", host: "127.0.0.1", ...trusted }, otherName);
  });

  it("with VerifyCA also verifies the name if any authority of the system may have signed the certificate", async () => {
    const folder = await mkdtemp(join(tmpdir(), "pg-migration-tls-"));
    try {
      await writeFile(join(folder, "authorities.pem"), tls.authority);
      const connected = async (host: string): Promise<string> => {
        const endpoint = { ...encrypted.login, host, sslMode: "VerifyCA" };
        const program = `
          const { connect } = require(${JSON.stringify(join(__dirname, "../../provider/src/postgres/connection/connect"))});
          const opened = connect(${JSON.stringify(endpoint)}, { database: "postgres", purpose: "test" });
          opened.then((session) => session.end().then(() => console.log("connected")), (error) => console.log(error.message));`;
        const env = { ...process.env, NODE_EXTRA_CA_CERTS: join(folder, "authorities.pem") };
        const run = ["--require", "tsx/cjs", "--eval", program];
        return (await promisify(execFile)(process.execPath, run, { env })).stdout;
      };
      assert.match(await connected("localhost"), /^connected/);
      assert.match(await connected("127.0.0.1"), /603001.*127\.0\.0\.1 is not in the cert/s);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it("is refused through a machine in between that decrypts it with its own certificate", async () => {
    const gate = await startTlsGate(encrypted.port, await certificateFor("localhost"), { encryptsAgain: true });
    try {
      await refused(encrypted, { port: gate.port, sslMode: "Require" }, /603001.*something in between decrypts/s);
    } finally {
      await gate.stop();
    }
  });

  it("accepts the path of a root certificate, and reports an unreadable one", async () => {
    const folder = await mkdtemp(join(tmpdir(), "pg-migration-tls-"));
    try {
      const file = join(folder, "ca.pem");
      await writeFile(file, tls.authority);
      assert.equal(await isEncrypted(encrypted, { sslMode: "VerifyFull", sslRootCert: file }), true);
      const missing = join(folder, "missing.pem");
      await refused(encrypted, { sslMode: "VerifyFull", sslRootCert: missing }, /sslRootCert.*missing\.pem/s);
      await refused(encrypted, { sslMode: "VerifyFull", sslRootCert: folder }, /it is not a regular file/);
      await writeFile(file, tls.privateKey);
      for (const sslRootCert of [file, "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----"])
        await refused(encrypted, { sslMode: "VerifyFull", sslRootCert }, /sslRootCert contains no valid certificate/);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it("distinguishes a wrong password from a refusal by pg_hba.conf", async () => {
    await refused(encrypted, { password: "wrong" }, /603100/);
    await refused(
      encrypted,
      { user: "guarded", password: "guarded", sslMode: "Disable" },
      /PGM-101.*sslMode to Require/s,
    );
  });

  it("distinguishes a lack of WAL senders from a lack of connections", async () => {
    const endpoint: Endpoint = { ...plain.login, sslMode: "Prefer" };
    const open = () => connect(endpoint, { database: "postgres", purpose: "test", replication: true });
    const only = await open();
    try {
      await assert.rejects(
        open(),
        /603106: .*no WAL sender left.*\n.*raise max_wal_senders.*one for each database, and one more/,
      );
    } finally {
      await only.end();
    }
  });

  it("distinguishes a server that starts no session from a server that does not answer", async () => {
    await plain.query(
      "CREATE ROLE unlucky LOGIN PASSWORD 'unlucky'; ALTER ROLE unlucky SET session_preload_libraries = 'not_there'",
    );
    const endpoint: Endpoint = { ...plain.login, user: "unlucky", password: "unlucky", sslMode: "Prefer" };
    await assert.rejects(connect(endpoint, { database: "postgres", purpose: "test" }), (error) => {
      assert.ok(error instanceof UnreachableError, String(error));
      assert.match(error.message, /does not start a session.*not_there/);
      return true;
    });
  });

  it("prints values alike for all settings of role and database", async () => {
    await plain.query(`
      CREATE ROLE odd LOGIN REPLICATION PASSWORD 'odd';
      ALTER ROLE odd SET DateStyle = 'German'; ALTER ROLE odd SET TimeZone = 'Asia/Kolkata';
      ALTER ROLE odd SET extra_float_digits = 0; ALTER ROLE odd SET IntervalStyle = 'sql_standard';
      ALTER ROLE odd SET bytea_output = 'escape'; ALTER ROLE odd SET statement_timeout = '10ms';
      ALTER ROLE odd SET search_path = 'public'; ALTER ROLE odd SET idle_in_transaction_session_timeout = '10min';
      CREATE TABLE own (); ALTER ROLE odd SET default_transaction_read_only = on`);
    const endpoint = { ...plain.login, user: "odd", password: "odd", sslMode: "Prefer" } as const;
    for (const replication of [false, true]) {
      const client = await connect(endpoint, { database: "postgres", purpose: "test", replication });
      const { rows } = await client.query<Record<string, string>>(
        `SELECT '2024-02-03 04:05:06+00'::timestamptz::text AS at, (0.1::float8 + 0.2)::text AS sum,
                '1 day 2 hours'::interval::text AS span, '\\x00ff'::bytea::text AS bytes, 'public.own'::regclass::text AS relation,
                current_setting('statement_timeout') AS patience, current_setting('idle_in_transaction_session_timeout') AS rest`,
      );
      await client.end();
      const expected = {
        at: "2024-02-03 04:05:06+00",
        sum: "0.30000000000000004",
        span: "1 day 02:00:00",
        bytes: "\\x00ff",
        relation: "public.own",
        patience: "0",
        rest: "0",
      };
      assert.deepEqual({ ...rows[0] }, expected, replication ? "walsender" : "ordinary");
    }
  });

  it("commits durably although the role does not, and waits for standby servers only as the role does", async () => {
    await plain.query("CREATE ROLE hasty LOGIN PASSWORD 'hasty'");
    const endpoint = { ...plain.login, user: "hasty", password: "hasty", sslMode: "Prefer" } as const;
    for (const [own, expected] of [
      ["off", "local"],
      ["local", "local"],
      ["on", "on"],
    ]) {
      await plain.query(`ALTER ROLE hasty SET synchronous_commit = ${own}`);
      const client = await connect(endpoint, { database: "postgres", purpose: "test" });
      const { rows } = await client.query("SHOW synchronous_commit").finally(() => client.end());
      assert.deepEqual(rows, [{ synchronous_commit: expected }]);
    }
  });

  it("uses the role set for the login, not a role that a database or the server sets for all", async () => {
    await plain.query(
      "CREATE ROLE app; CREATE ROLE another; CREATE ROLE mig LOGIN PASSWORD 'mig' IN ROLE app, another",
    );
    const endpoint = { ...plain.login, user: "mig", password: "mig", sslMode: "Prefer" } as const;
    const roleAfter = async (sql: string): Promise<string> => {
      // A setting for all applies to the superuser, too.
      await plain.query(`SET ROLE NONE; ${sql}`);
      const client = await connect(endpoint, { database: "postgres", purpose: "test" });
      const { rows } = await client.query<{ role: string }>("SELECT current_user AS role");
      await client.end();
      return rows[0]!.role;
    };
    try {
      assert.equal(await roleAfter("ALTER DATABASE postgres SET role = 'another'"), "mig");
      assert.equal(await roleAfter("ALTER ROLE mig SET role = 'app'"), "app");
      assert.equal(await roleAfter("ALTER DATABASE postgres RESET role"), "app");
      assert.equal(await roleAfter("ALTER ROLE mig IN DATABASE postgres SET role = 'another'"), "another");
      assert.equal(await roleAfter("ALTER ROLE mig RESET role"), "another");
      assert.equal(
        await roleAfter("ALTER ROLE mig IN DATABASE postgres RESET role; ALTER ROLE ALL SET role = 'app'"),
        "mig",
      );
    } finally {
      await plain.query("SET ROLE NONE; ALTER ROLE ALL RESET role; ALTER DATABASE postgres RESET role");
    }
  });

  it("shows its purpose and owner", async () => {
    const client = await connect(
      { ...plain.login, sslMode: "Prefer" },
      { database: "postgres", purpose: "x".repeat(80) },
    );
    const { rows } = await client.query<{ name: string }>("SELECT current_setting('application_name') AS name");
    await client.end();
    assert.match(rows[0]!.name, /^pg-migration x+$/);
    assert(rows[0]!.name.length <= 63);
  });

  it("lets a successor terminate sessions of earlier workers of its migration, and no others", async () => {
    const place = { ...plain.login, sslMode: "Prefer" } as const;
    const first = { migration: "m", startedAt: "2026-01-01 00:00:00+00", generation: 9 };
    const other = { ...first, startedAt: "2026-01-02 00:00:00+00" };
    await plain.query("CREATE DATABASE copied");
    const opened: [string, Client][] = [];
    const open = async (name: string, owner: SessionOwner | undefined, purpose: string, database = "postgres") => {
      tagSessions(owner && ownerTag(owner));
      try {
        opened.push([name, await connect(place, { database, purpose })]);
      } finally {
        tagSessions(undefined);
      }
    };
    await open("earlier", first, "m compare " + "x".repeat(60));
    await open("earlier elsewhere", first, "m read", "copied");
    await open("earlier snapshot", first, "snapshot");
    await open("snapshot to go on under", first, "snapshot", "copied");
    await open("much earlier", { ...first, generation: 1 }, "apply changes");
    await open("own", { ...first, generation: 10 }, "m compare");
    await open("later", { ...first, generation: 11 }, "m compare");
    await open("of its name", { ...other, generation: 1 }, "m compare");
    await open("a helper's", undefined, "m share");
    const left = async (): Promise<string[]> => {
      const names = await Promise.all(
        opened.map(([name, session]) =>
          session.query("SELECT").then(
            () => [name],
            () => [],
          ),
        ),
      );
      return names.flat();
    };
    const successor = await connect(place, { database: "postgres", purpose: "m take over" });
    try {
      const owner = { ...first, generation: 10 };
      const answer = await endEarlierSessions(successor, owner, { spareSnapshotsIn: ["copied"] });
      assert.deepEqual(answer, { ended: 4, refused: [] });
      const others = ["own", "later", "of its name", "a helper's"];
      await until("four have ended", async () => (await left()).length === 5);
      assert.deepEqual(await left(), ["snapshot to go on under", ...others]);
      assert.equal((await endEarlierSessions(successor, owner, { onlyIn: "postgres" })).ended, 0);
      assert.equal((await endEarlierSessions(successor, owner, { onlyIn: "copied" })).ended, 1);
      await until("the snapshot has ended", async () => (await left()).length === 4);
      assert.deepEqual(await left(), others);
    } finally {
      for (const [, session] of opened) await session.end().catch(() => undefined);
      await successor.end();
      await plain.query("DROP DATABASE copied");
    }
  });
});
