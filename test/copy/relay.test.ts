import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { chmod, chown, stat } from "node:fs/promises";
import { type Server, type Socket, connect as dial, createServer } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import type pg from "pg";
import { CanceledError, EngineError, RefusedError, UnreachableError } from "../../provider/src/errors";
import { CopyRate } from "../../provider/src/copy/copy-rate";
import { relayCopy } from "../../provider/src/copy/relay";
import { EmbeddedServer } from "../support/servers/embedded-server";
import { until } from "../support/until";
import { connect } from "../../provider/src/postgres/connection/connect";
import { endpointOf, freshDatabase, open } from "./pairs";
import { ManualClock } from "./manual-clock";

/** A proxy on a loopback port that forwards the server's bytes in chunks of the given lengths. */
async function rechunkingProxy(port: number, lengths: () => number): Promise<{ port: number; close: () => void }> {
  const sockets: Socket[] = [];
  const proxy: Server = createServer((client) => {
    const upstream = dial(port, "127.0.0.1");
    sockets.push(client, upstream);
    client.setNoDelay(true).pipe(upstream);
    upstream.on("data", (bytes: Buffer) => {
      upstream.pause();
      const send = (at: number): void => {
        if (at >= bytes.length) return void upstream.resume();
        const length = lengths();
        client.write(bytes.subarray(at, at + length));
        // Small chunks written in the same tick would be joined.
        setImmediate(() => send(at + length));
      };
      send(0);
    });
    for (const [one, other] of [
      [client, upstream],
      [upstream, client],
    ] as const)
      one.on("close", () => other.destroy()).on("error", () => other.destroy());
  });
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  const address = proxy.address();
  if (address === null || typeof address === "string") throw new Error("the proxy has no port");
  const close = (): void => {
    proxy.close();
    for (const socket of sockets) socket.destroy();
  };
  return { port: address.port, close };
}

/** Enables TLS on a server, with a new certificate. */
async function offerTls(server: EmbeddedServer): Promise<void> {
  const [key, certificate] = [join(server.dataDirectory, "server.key"), join(server.dataDirectory, "server.crt")];
  const request = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "2"];
  await promisify(execFile)("openssl", [...request, "-keyout", key, "-out", certificate]);
  const { uid, gid } = await stat(server.dataDirectory);
  for (const file of [key, certificate]) await chown(file, uid, gid);
  await chmod(key, 0o600);
  await server.query("ALTER SYSTEM SET ssl = on");
  await server.query("SELECT pg_reload_conf()");
  await until("TLS is on", async () => (await server.query<{ ssl: string }>("SHOW ssl"))[0]!.ssl === "on");
}

describe("a relayed copy", () => {
  let sourceServer: EmbeddedServer;
  let targetServer: EmbeddedServer;
  let source: pg.Client;
  let target: pg.Client;
  let sourceDatabase: string;
  let targetDatabase: string;

  before(async () => {
    [sourceServer, targetServer] = await Promise.all([
      EmbeddedServer.start({ major: 14 }),
      EmbeddedServer.start({ major: 18 }),
    ]);
    const shape = "CREATE TABLE t (id int8 PRIMARY KEY, v text)";
    sourceDatabase = await freshDatabase(sourceServer, shape);
    targetDatabase = await freshDatabase(targetServer, shape);
  });
  after(() => Promise.all([sourceServer.stop(), targetServer.stop()]));

  beforeEach(async () => {
    source = await open(sourceServer, sourceDatabase);
    target = await open(targetServer, targetDatabase);
    await target.query("TRUNCATE public.t");
  });
  afterEach(() => Promise.all([source.end(), target.end()]));

  interface RelayOptions {
    readonly signal?: AbortSignal;
    readonly onProgress?: (bytes: number) => void;
    readonly format?: string;
    readonly rate?: CopyRate;
  }
  const rowsQuery = (rows: number | string, value = "repeat('x', (i % 300)::int)"): string =>
    `COPY (SELECT i, ${value} FROM (SELECT generate_series(1, ${rows})::int8 AS i) AS each) TO STDOUT`;
  const relay = (copyOut: string, options: RelayOptions = {}) =>
    relayCopy({
      ...options,
      what: "public.t",
      source,
      target,
      copyOut: `${copyOut} WITH (FORMAT ${options.format ?? "text"})`,
      copyIn: `COPY public.t FROM STDIN WITH (FORMAT ${options.format ?? "text"})`,
    });
  const stored = async (): Promise<number> =>
    Number((await target.query<{ n: string }>("SELECT count(*) AS n FROM public.t")).rows[0]!.n);
  const bothAnswer = async (): Promise<void> => {
    assert.equal((await source.query<{ one: number }>("SELECT 1 AS one")).rows[0]!.one, 1);
    assert.equal((await target.query<{ one: number }>("SELECT 1 AS one")).rows[0]!.one, 1);
  };

  for (const format of ["text", "binary"]) {
    it(`counts rows and stores them all in ${format} format`, async () => {
      for (const rows of [0, 1, 50_000]) {
        await target.query("TRUNCATE public.t");
        const done = await relay(rowsQuery(rows), { format });
        assert.equal(done.rows, rows);
        assert.equal(await stored(), rows);
      }
      await bothAnswer();
    });
  }

  it("copies all rows wherever the stream is cut", async () => {
    // Whole rows are compared with values computed on the target.
    const expected = `SELECT count(*) AS n FROM public.t
      WHERE v IS NOT DISTINCT FROM CASE WHEN id % 7 = 0 THEN NULL ELSE repeat(md5(id::text), (id % 40)::int) END`;
    const value = "CASE WHEN i % 7 = 0 THEN NULL ELSE repeat(md5(i::text), (i % 40)::int) END";
    let seed = 1;
    const random = (below: number): number => (seed = (seed * 48271) % 2147483647) % below;
    const cuts: (readonly [number, () => number])[] = [
      [20, () => 1],
      [300, () => 1 + random(6)],
      [3000, () => 1 + random(300)],
      [3000, () => (random(2) ? 1 + random(8) : 4096)],
    ];
    for (const [rows, lengths] of cuts) {
      for (const format of ["text", "binary"]) {
        await target.query("TRUNCATE public.t");
        const proxy = await rechunkingProxy(sourceServer.port, lengths);
        const through = await connect(
          { ...endpointOf(sourceServer), port: proxy.port },
          { database: sourceDatabase, purpose: "test" },
        );
        try {
          const options = `WITH (FORMAT ${format})`;
          const copyIn = `COPY public.t FROM STDIN ${options}`;
          const copyOut = `${rowsQuery(rows, value)} ${options}`;
          const done = await relayCopy({ what: "public.t", source: through, target, copyOut, copyIn });
          assert.equal(done.rows, rows);
          assert.equal((await target.query<{ n: string }>(expected)).rows[0]!.n, String(rows));
          assert.equal((await through.query<{ one: number }>("SELECT 1 AS one")).rows[0]!.one, 1);
        } finally {
          await through.end();
          proxy.close();
        }
      }
    }
  });

  it("uses TLS on both sides", async () => {
    const encrypted = [];
    for (const [server, database] of [
      [sourceServer, sourceDatabase],
      [targetServer, targetDatabase],
    ] as const) {
      await offerTls(server);
      encrypted.push(await connect({ ...endpointOf(server), sslMode: "Require" }, { database, purpose: "test" }));
    }
    const [from, into] = encrypted as [pg.Client, pg.Client];
    try {
      for (const each of encrypted)
        assert.equal((await each.query("SELECT FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl")).rowCount, 1);
      const copyIn = "COPY public.t FROM STDIN";
      const done = await relayCopy({
        what: "public.t",
        source: from,
        target: into,
        copyOut: rowsQuery(50_000),
        copyIn,
      });
      assert.equal(done.rows, 50_000);
      assert.equal(await stored(), 50_000);
      await target.query("TRUNCATE public.t");
      const endless = rowsQuery("1000000000::int8");
      const signal = AbortSignal.timeout(300);
      await assert.rejects(
        relayCopy({ what: "t", source: from, target: into, copyOut: endless, copyIn, signal }),
        CanceledError,
      );
      for (const each of encrypted) await each.query("SELECT 1");
    } finally {
      await Promise.all(encrypted.map((each) => each.end()));
    }
  });

  it("reports its progress to the end", async () => {
    const seen: [number, number][] = [];
    const done = await relayCopy({
      what: "public.t",
      source,
      target,
      copyOut: rowsQuery(20_000),
      copyIn: "COPY public.t FROM STDIN",
      onProgress: (bytes, rows) => seen.push([bytes, rows]),
    });
    assert.deepEqual(seen.at(-1), [done.bytes, done.rows]);
    assert.ok(seen.every(([bytes, rows], i) => i === 0 || (bytes > seen[i - 1]![0] && rows >= seen[i - 1]![1])));
  });

  it("reports the target's refusal, rolls the copy back and leaves both sessions usable", async () => {
    await target.query("ALTER TABLE public.t ADD CONSTRAINT small CHECK (id < 100000)");
    try {
      await assert.rejects(relay(rowsQuery(5_000_000)), (error: Error) => {
        assert.ok(error instanceof RefusedError, String(error));
        assert.match(error.message, /public\.t.*target.*small.*23514.*COPY t, line 100000/);
        assert.doesNotMatch(error.message, /Failing row/, "rows have no place in a message");
        return true;
      });
      await bothAnswer();
      assert.equal(await stored(), 0);
      // Rows are longer than a chunk, so that the refusal arrives in the middle of a row.
      for (let round = 0; round < 3; round++) {
        await assert.rejects(
          relay(rowsQuery(100, "repeat('x', 5000000)").replace("(SELECT i,", "(SELECT i + 99990,")),
          /small/,
        );
        await bothAnswer();
      }
    } finally {
      await target.query("ALTER TABLE public.t DROP CONSTRAINT small");
    }
    assert.equal((await relay(rowsQuery(10))).rows, 10);
  });

  it("reports the source's refusal in the middle, and leaves both sessions usable", async () => {
    await assert.rejects(relay(rowsQuery(200_000, "(1 / (150000 - i))::text")), (error: Error) => {
      assert.ok(error instanceof RefusedError, String(error));
      assert.match(error.message, /public\.t.*source.*division by zero.*22012/);
      return true;
    });
    await bothAnswer();
    assert.equal(await stored(), 0);
  });

  it("fails at once if either statement cannot start", async () => {
    await assert.rejects(relay("COPY public.nowhere TO STDOUT"), /source refused.*nowhere.*42P01/);
    const copyIn = "COPY public.nowhere FROM STDIN";
    await assert.rejects(
      relayCopy({ what: "public.t", source, target, copyOut: rowsQuery(1), copyIn }),
      /target refused.*nowhere.*42P01/,
    );
    await bothAnswer();
  });

  it("reads the source while the target waits for a lock, and stops both on a signal", async () => {
    const { rows } = await source.query<{ pid: number }>("SELECT pg_backend_pid() AS pid");
    const blocker = await open(targetServer, targetDatabase);
    try {
      await blocker.query("BEGIN; LOCK TABLE public.t");
      const abort = new AbortController();
      const copied = relay(rowsQuery("1000000000::int8"), { signal: abort.signal });
      const reading =
        "SELECT FROM pg_stat_activity WHERE pid = $1 AND query LIKE 'COPY%' AND wait_event = 'ClientWrite'";
      await Promise.race([
        copied,
        until("the source waits for the target", async () => {
          return (await sourceServer.query(reading.replace("$1", String(rows[0]!.pid)))).length === 1;
        }),
      ]);
      abort.abort();
      await assert.rejects(copied, CanceledError);
      await bothAnswer();
    } finally {
      await blocker.end();
    }
    assert.equal(await stored(), 0);
  });

  it("stops on a signal, however many rows remain", async () => {
    const abort = new AbortController();
    const copied = relay(rowsQuery("1000000000::int8"), { signal: abort.signal, onProgress: () => abort.abort() });
    await assert.rejects(copied, CanceledError);
    await bothAnswer();
    assert.equal(await stored(), 0);
    const lost = new UnreachableError("the snapshot is lost");
    await assert.rejects(relay(rowsQuery(1), { signal: AbortSignal.abort(lost) }), lost);
  });

  it("reads no more than its rate allows, and stores every row", async () => {
    const bytesPerSecond = 1_000_000;
    const clock = new ManualClock();
    let bytes = 0;
    let isOver = false;
    const rate = new CopyRate(() => bytesPerSecond, clock);
    const copied = relay(rowsQuery(20_000), { rate, onProgress: (all) => (bytes = all) }).finally(
      () => (isOver = true),
    );
    for (let seconds = 0.1; !isOver; seconds += 0.1) {
      // Whatever has arrived by now was read before this step.
      await new Promise((resolve) => setTimeout(resolve, 5));
      assert(bytes <= bytesPerSecond * seconds + 2 * 65_536, `${bytes} bytes in ${seconds} s`);
      clock.advance(100);
    }
    const done = await copied;
    assert.equal(done.rows, 20_000);
    assert(done.bytes > 2 * bytesPerSecond);
    assert.equal(await stored(), 20_000);
    await bothAnswer();
  });

  it("stops on a signal while its rate delays it, and leaves both sessions usable", async () => {
    const rate = new CopyRate(() => 65_536, new ManualClock());
    for (const isFirst of [true, false]) {
      const abort = new AbortController();
      let bytes = 0;
      const copied = relay(rowsQuery(200_000), { rate, signal: abort.signal, onProgress: (all) => (bytes = all) });
      setTimeout(() => abort.abort(), 300);
      await assert.rejects(copied, CanceledError);
      assert.equal(bytes > 0, isFirst, "the second copy waits until the bytes of the first one are allowed");
      await bothAnswer();
      assert.equal(await stored(), 0);
    }
  });

  for (const side of ["source", "target"] as const) {
    it(`fails if the ${side}'s session is terminated, and the other session stays usable`, async () => {
      const [victim, survivor, server] =
        side === "source" ? [source, target, sourceServer] : [target, source, targetServer];
      const { rows } = await victim.query<{ pid: number }>("SELECT pg_backend_pid() AS pid");
      let killed: Promise<unknown> | undefined;
      const kill = (): void => {
        killed ??= server.query(`SELECT pg_terminate_backend(${rows[0]!.pid})`);
      };
      await assert.rejects(relay(rowsQuery("1000000000::int8"), { onProgress: kill }), (error: Error) => {
        assert.ok(error instanceof UnreachableError, String(error));
        // For the target, either its last message or the failure of a write arrives first.
        const reason = side === "source" ? "terminating connection" : "(terminating connection|ECONNRESET|EPIPE)";
        assert.match(error.message, new RegExp(`public\\.t.*${side}'s connection broke.*${reason}`));
        return true;
      });
      await killed;
      assert.equal((await survivor.query<{ one: number }>("SELECT 1 AS one")).rows[0]!.one, 1);
    });
  }

  it("fails if the target drops rows", async () => {
    await target.query(
      `CREATE FUNCTION public.skip() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
       CREATE TRIGGER skip BEFORE INSERT ON public.t FOR EACH ROW WHEN (NEW.id = 3) EXECUTE FUNCTION public.skip()`,
    );
    try {
      await assert.rejects(relay(rowsQuery(5)), (error: Error) => {
        assert.ok(error instanceof EngineError, String(error));
        assert.match(error.message, /sent 5 rows, and the target stored 4/);
        return true;
      });
      await bothAnswer();
    } finally {
      await target.query("DROP TRIGGER skip ON public.t");
    }
  });

  it("keeps memory constant for long rows", async () => {
    const before = process.memoryUsage().rss;
    let most = before;
    const done = await relay("COPY (SELECT 1, repeat('0123456789abcdef', 6250000)) TO STDOUT", {
      onProgress: () => (most = Math.max(most, process.memoryUsage().rss)),
    });
    assert.equal(done.rows, 1);
    assert.ok(done.bytes > 100_000_000);
    assert.ok(most - before < 60_000_000, `${Math.round((most - before) / 1e6)} MB more memory`);
    const { rows } = await target.query<{ length: number }>("SELECT length(v) AS length FROM public.t");
    assert.equal(rows[0]!.length, 100_000_000);
  });
});
