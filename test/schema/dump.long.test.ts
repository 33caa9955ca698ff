import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { chmod, mkdtemp, readFile, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { type AddressInfo, connect as dial, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { CanceledError, LockNotAvailableError, RefusedError, UnreachableError } from "../../provider/src/errors";
import type { Endpoint, SslMode } from "../../provider/src/postgres/connection/endpoint";
import { dumpSchema } from "../../provider/src/schema/dump/dump";
import type { DumpOptions } from "../../provider/src/schema/dump/dump-options";
import { dumpNatively, findNativeTool } from "../../provider/src/schema/dump/native-dump";
import { CuttableProxy } from "../cdc/cuttable-proxy";
import { certificateFor } from "../support/servers/certificates";
import { EmbeddedServer } from "../support/servers/embedded-server";
import { startTlsGate } from "../support/servers/tls-gate";
import { until } from "../support/until";

const odd = "o'd\"d=$d b";

describe("the dump of a schema", () => {
  let source: EmbeddedServer;
  let endpoint: Endpoint;
  let folder: string;
  let recorded: string;

  before(async () => {
    source = await EmbeddedServer.start({ major: 14 });
    // Each of these settings would change the dump if it were used; the names and the password require quoting.
    await source.query(`CREATE ROLE "the:dumper\\" LOGIN PASSWORD 'a:b\\c''"'`);
    await source.query(`CREATE DATABASE "${odd.replaceAll('"', '""')}" OWNER "the:dumper\\"`);
    await source.query(
      `CREATE TABLE "ta ble" (id integer); ALTER TABLE "ta ble" OWNER TO "the:dumper\\";
       ALTER ROLE "the:dumper\\" SET standard_conforming_strings = off;
       ALTER ROLE "the:dumper\\" SET quote_all_identifiers = on;
       ALTER ROLE "the:dumper\\" SET statement_timeout = '500ms';
       ALTER ROLE "the:dumper\\" SET default_transaction_read_only = on`,
      { database: odd },
    );
    endpoint = { ...source.login, user: "the:dumper\\", password: `a:b\\c'"`, sslMode: "Prefer" };
    folder = await mkdtemp(join(tmpdir(), "fake-tools-"));
    // A separate folder, because killed workers of other tests cannot remove their files.
    process.env.TMPDIR = folder;
    recorded = join(folder, "recorded");
  });

  after(async () => {
    delete process.env.PG_DUMP;
    delete process.env.TMPDIR;
    await source.stop();
    await rm(folder, { recursive: true });
  });

  /** Replaces pg_dump by a shell script. */
  async function pretend(script: string): Promise<void> {
    const path = join(folder, "pg_dump");
    await writeFile(
      path,
      `#!/bin/sh\nif [ "$1" = --version ]; then echo "pg_dump (PostgreSQL) 17.2"; exit; fi\n${script}\n`,
    );
    await chmod(path, 0o755);
    process.env.PG_DUMP = path;
  }

  async function leftovers(): Promise<string[]> {
    return (await readdir(tmpdir())).filter((name) => name.startsWith("pg-migration-dump-"));
  }

  const dumpersSessions = async (): Promise<number> => {
    const [row] = await source.query<{ count: number }>(
      `SELECT count(*)::integer AS count FROM pg_stat_activity WHERE usename = 'the:dumper\\'`,
    );
    return row!.count;
  };

  afterEach(() => {
    delete process.env.PG_DUMP;
  });

  for (const length of [0xfffffff0, 0, 0x7fffffff, 0xffffffff])
    it(`by the wasm tool ends with one error at a message of ${length} bytes`, async () => {
      const sockets: Socket[] = [];
      let isDumping = false;
      const proxy = createServer((client) => {
        const server = dial(source.port, "127.0.0.1");
        sockets.push(client, server);
        for (const socket of [client, server]) socket.on("error", () => undefined);
        client.on("data", (bytes) => {
          isDumping ||= bytes.includes("pg_is_in_recovery");
          server.write(bytes);
        });
        server.on("data", (bytes) => {
          if (isDumping) bytes.writeUInt32BE(length, 1);
          client.write(bytes);
        });
      }).listen(0, "127.0.0.1");
      await once(proxy, "listening");
      const { port } = proxy.address() as AddressInfo;
      try {
        await assert.rejects(
          dumpSchema({ ...source.login, port, sslMode: "Disable" }, "postgres", { tool: "wasm" }),
          (error) => {
            assert(error instanceof RefusedError);
            assert.match(error.message, new RegExp(`@127\\.0\\.0\\.1:${port}/postgres: the server does not follow`));
            assert.match(error.message, new RegExp(`message of type "." with ${length} bytes`));
            return true;
          },
        );
      } finally {
        for (const socket of sockets) socket.destroy();
        proxy.close();
      }
    });

  for (const tool of ["native", "wasm"] as const) {
    it(`by the ${tool} tool does not depend on settings of role and database`, async function () {
      const dump = await dumpSchema(endpoint, odd, { tool }).catch((error: unknown) => {
        if (tool === "native" && /no pg_dump here/.test(String(error))) return this.skip();
        throw error;
      });
      assert.match(dump.tool, tool === "native" ? /^pg_dump [\d.]+ \(native\)$/ : /^pg_dump 18\.\d+ \(wasm\)$/);
      assert.match(dump.text, /CREATE TABLE public\."ta ble" \(\n {4}id integer\n\);/);
      assert.match(dump.text, /standard_conforming_strings = on/);
    });

    it(`by the ${tool} tool reads its snapshot`, async function () {
      const holder = await source.connect();
      try {
        await holder.query("BEGIN ISOLATION LEVEL REPEATABLE READ");
        const { rows } = await holder.query<{ id: string }>("SELECT pg_export_snapshot() AS id");
        await source.query(`CREATE FUNCTION public.later_${tool}() RETURNS integer LANGUAGE sql AS 'SELECT 1'`);
        const options: DumpOptions = { tool, snapshot: rows[0]!.id };
        const { text } = await dumpSchema({ ...source.login, sslMode: "Disable" }, "postgres", options);
        assert.doesNotMatch(text, new RegExp(`later_${tool}`));
        await holder.query("COMMIT");
        // The caller then takes another snapshot.
        await assert.rejects(
          dumpSchema({ ...source.login, sslMode: "Disable" }, "postgres", options),
          UnreachableError,
        );
      } catch (error) {
        if (tool === "native" && /no pg_dump here/.test(String(error))) this.skip();
        throw error;
      } finally {
        await holder.end();
      }
    });

    it(`by the ${tool} tool reports the source's refusal, and leaves no files or sessions`, async function () {
      await source.query(`CREATE TABLE not_yours (id integer)`, { database: odd });
      try {
        await assert.rejects(dumpSchema(endpoint, odd, { tool }), (error) => {
          if (/no pg_dump here/.test(String(error))) this.skip();
          return (
            error instanceof RefusedError &&
            /could not read.*permission denied for table not_yours/s.test(error.message)
          );
        });
      } finally {
        await source.query("DROP TABLE not_yours", { database: odd });
      }
      assert.deepEqual(await leftovers(), []);
      await until("its sessions have ended", async () => (await dumpersSessions()) === 0);
    });

    it(`by the ${tool} tool stops on a signal`, async function () {
      const blocker = await source.connect(odd);
      try {
        await blocker.query(`BEGIN; LOCK TABLE "ta ble"`);
        await assert.rejects(dumpSchema(endpoint, odd, { tool, signal: AbortSignal.timeout(1500) }), (error) => {
          if (/no pg_dump here/.test(String(error))) this.skip();
          return error instanceof CanceledError;
        });
        const lost = AbortSignal.abort(new UnreachableError("the snapshot is gone"));
        await assert.rejects(dumpSchema(endpoint, odd, { tool, signal: lost }), /the snapshot is gone/);
        // It does not stay in the queue for the lock.
        await until("the dump's session has ended", async () => (await dumpersSessions()) === 0);
      } finally {
        await blocker.end();
      }
      assert.deepEqual(await leftovers(), []);
    });

    it(`by the ${tool} tool keeps no lock while it waits for the next table`, async function () {
      await source.query("CREATE TABLE next (); GRANT SELECT ON next TO PUBLIC", { database: odd });
      const blocker = await source.connect(odd);
      try {
        await blocker.query("BEGIN; LOCK TABLE next");
        await assert.rejects(dumpSchema(endpoint, odd, { tool, lockSeconds: 0 }), (error: Error) => {
          if (/no pg_dump here/.test(String(error))) this.skip();
          assert.ok(error instanceof LockNotAvailableError, String(error));
          assert.match(
            error.message,
            /could not be read for 0 s: public\.next is locked by pid \d+ \(postgres, test, /,
          );
          assert.match(error.remedy ?? "", /SELECT pg_terminate_backend\(\d+\)/);
          return true;
        });
        const dumped = dumpSchema(endpoint, odd, { tool });
        await until("the dump waits", async () => {
          const waiting = await source.query(
            `SELECT FROM pg_stat_activity WHERE usename = 'the:dumper\\' AND wait_event_type = 'Lock'`,
          );
          return waiting.length > 0;
        });
        await blocker.query(`LOCK TABLE "ta ble"; COMMIT`);
        assert.match((await dumped).text, /CREATE TABLE public\.next/);
      } finally {
        await blocker.end();
        await source.query("DROP TABLE next", { database: odd });
      }
    });

    it(`by the ${tool} tool can be retried if its session is terminated`, async function () {
      const blocker = await source.connect(odd);
      try {
        await blocker.query(`BEGIN; LOCK TABLE "ta ble"`);
        let failure: unknown;
        const dumped = dumpSchema(endpoint, odd, { tool }).catch((error: unknown) => (failure = error));
        await until("the dump waits and is terminated, or cannot be started", async () => {
          const sessions = await source.query(
            `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
              WHERE usename = 'the:dumper\\' AND wait_event_type = 'Lock'`,
          );
          return sessions.length > 0 || failure !== undefined;
        });
        await dumped;
        if (/no pg_dump here/.test(String(failure))) this.skip();
        assert.ok(failure instanceof UnreachableError, String(failure));
      } finally {
        await blocker.end();
      }
    });
  }

  it("by the wasm tool fails wherever the connection breaks", async () => {
    const proxy = await CuttableProxy.to({ ...endpoint, sslMode: "Disable" });
    try {
      for (let bytes = 4000; bytes < 40_000; bytes += 3000) {
        proxy.breakAfter(bytes);
        await assert.rejects(dumpSchema(proxy.endpoint, odd, { tool: "wasm" }), UnreachableError, `${bytes} bytes`);
      }
    } finally {
      await proxy.close();
    }
  });

  it("leaves no secret if it is killed: a native tool has it only in its environment", async () => {
    process.env.SECRET_OF_MINE = "geheim";
    await pretend(
      `{ echo "$@"; env; } > ${recorded}; ls -A "${folder}" > ${recorded}.files; echo "-- Dumped by pg_dump version 17.2"`,
    );
    try {
      await dumpSchema(endpoint, odd, { tool: "native" });
    } finally {
      delete process.env.SECRET_OF_MINE;
    }
    const lines = (await readFile(recorded, "utf8")).split("\n");
    assert.deepEqual(
      lines.filter((line) => /a:b|geheim/.test(line)),
      [`PGPASSWORD=a:b\\c'"`],
    );
    assert.match(lines.join("\n"), /^PGDATABASE=o'd"d=\$d b$/m);
    const files = (await readFile(`${recorded}.files`, "utf8")).trim().split("\n");
    assert.deepEqual(files.sort(), ["pg_dump", "recorded", "recorded.files"]);
  });

  it("by the native tool uses TLS according to sslMode and sslRootCert", async function () {
    const tool = await findNativeTool(14);
    if (!tool) return this.skip();
    const [tls, other] = [await certificateFor("localhost"), await certificateFor("localhost")];
    const gate = await startTlsGate(source.port, tls);
    const dumped = (sslMode: SslMode, sslRootCert?: string, host = "localhost"): Promise<string> =>
      dumpNatively(tool, { ...endpoint, host, port: gate.port, sslMode, sslRootCert }, odd, {});
    try {
      assert.match(await dumped("VerifyFull", tls.authority), /CREATE TABLE/);
      assert.match(await dumped("VerifyCA", tls.authority, "127.0.0.1"), /CREATE TABLE/);
      assert.match(await dumped("Require"), /CREATE TABLE/);
      // The engine's own sessions connect without TLS, which the server refuses here.
      assert.match(await dumped("Prefer", other.authority), /CREATE TABLE/);
      for (const sslMode of ["Require", "VerifyCA", "VerifyFull"] as const)
        await assert.rejects(dumped(sslMode, other.authority), /SSL error/);
      await assert.rejects(dumped("VerifyFull", tls.authority, "127.0.0.1"), /does not match host name/);
      await assert.rejects(dumped("Disable"));
    } finally {
      await gate.stop();
    }
    assert.deepEqual(await leftovers(), []);
  });

  it("by the native tool uses TCP keepalives", async function () {
    const tool = await findNativeTool(14);
    if (!tool || process.platform !== "linux") return this.skip();
    const silent = createServer().listen(0, "127.0.0.1");
    await once(silent, "listening");
    const { port } = silent.address() as AddressInfo;
    const end = new AbortController();
    const dumped = dumpNatively(tool, { ...endpoint, port, sslMode: "Disable" }, odd, { signal: end.signal });
    dumped.catch(() => undefined);
    try {
      const [line] = (await once(silent, "connection")) as [Socket];
      const hex = (one: number): string => one.toString(16).toUpperCase().padStart(4, "0");
      // Fields of its sockets: from, to, state, queues, the timer that expires next (02: keepalive), and its time in
      // hundredths of a second.
      const ofDump = new RegExp(`:${hex(line.remotePort!)} \\w+:${hex(port)} 01 \\S+ 02:(\\w+) `);
      let left: string | undefined;
      await until("its data is acknowledged", async () => {
        left = ofDump.exec(await readFile("/proc/net/tcp", "utf8"))?.[1];
        return left !== undefined;
      });
      assert.ok(parseInt(left!, 16) <= 3000, left);
      line.destroy();
    } finally {
      end.abort();
      silent.close();
    }
    await assert.rejects(dumped);
  });

  it("uses the given certificate if sslMode requires one", async () => {
    await pretend(
      `{ echo $PGSSLMODE; cat "\${PGSSLROOTCERT:-/dev/null}"; } > ${recorded}; echo "-- Dumped by pg_dump version 17.2"`,
    );
    const tool = (await findNativeTool(14))!;
    const pem = "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n";
    for (const [sslMode, written] of [
      ["VerifyCA", `verify-ca\n${pem}`],
      ["Prefer", "prefer\n"],
    ] as const) {
      await dumpNatively(tool, { ...endpoint, sslMode, sslRootCert: pem }, odd, {});
      assert.equal(await readFile(recorded, "utf8"), written);
    }
    await dumpNatively(tool, { ...endpoint, sslMode: "VerifyCA" }, odd, {});
    assert.match(await readFile(recorded, "utf8"), /^verify-full\n/, "any authority of the system may have signed");
  });

  it("starts no pg_wrapper of Debian, unless PG_DUMP names it", async () => {
    const wrapped = await mkdtemp(join(folder, "wrapped-"));
    const started = join(wrapped, "started");
    const wrapper = join(wrapped, "pg_wrapper");
    await writeFile(wrapper, `#!/bin/sh\ntouch ${started}\necho "pg_dump (PostgreSQL) 99.1"\n`, { mode: 0o755 });
    await symlink(wrapper, join(wrapped, "pg_dump"));
    const { PATH, PG_DUMP } = process.env;
    try {
      delete process.env.PG_DUMP;
      process.env.PATH = `${wrapped}${delimiter}${PATH}`;
      assert.notEqual((await findNativeTool(14))?.major, 99);
      assert.equal(existsSync(started), false, "the wrapper was started");
      process.env.PG_DUMP = join(wrapped, "pg_dump");
      assert.deepEqual(await findNativeTool(14), { path: join(wrapped, "pg_dump"), major: 99 });
    } finally {
      process.env.PATH = PATH;
      if (PG_DUMP === undefined) delete process.env.PG_DUMP;
      else process.env.PG_DUMP = PG_DUMP;
    }
  });

  it("uses the embedded tool if the native one fails, and reports it", async () => {
    await pretend('echo "pg_dump: error: no such library" >&2; exit 1');
    const { text, tool } = await dumpSchema(endpoint, odd);
    assert.match(tool, /\(wasm\), after the native one failed:.*no such library/);
    assert.match(text, /ta ble/);
  });

  it("uses the embedded tool if the native one is too old, and reports which version to install if both are", async () => {
    await pretend("exit 1");
    await writeFile(join(folder, "pg_dump"), '#!/bin/sh\necho "pg_dump (PostgreSQL) 9.6.24"\n');
    assert.match((await dumpSchema(endpoint, odd)).tool, /\(wasm\)$/);
    await assert.rejects(dumpSchema(endpoint, odd, { tool: "native" }), /no pg_dump here[^]*To do: install.*14/);
  });
});
