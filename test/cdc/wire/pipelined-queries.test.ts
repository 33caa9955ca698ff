import assert from "node:assert/strict";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type pg from "pg";
import { isRetryable } from "../../../provider/src/cdc/model/failure";
import { PreparedStatements } from "../../../provider/src/cdc/wire/prepared-statements";
import { PipelinedQueries, type Statement } from "../../../provider/src/cdc/wire/pipelined-queries";
import { EmbeddedServer } from "../../support/servers/embedded-server";

/** CopyData messages of one line each. */
const lines = (...texts: readonly string[]): Buffer[] =>
  texts.map((text) => {
    const message = Buffer.alloc(5 + text.length + 1);
    message.write("d", 0, "latin1");
    message.writeInt32BE(message.length - 1, 1);
    message.write(`${text}\n`, 5, "latin1");
    return message;
  });

describe("PipelinedQueries", () => {
  let server: EmbeddedServer;
  let session: pg.Client;
  let trips: PipelinedQueries;

  before(async () => {
    server = await EmbeddedServer.start({ major: 17 });
    session = await server.connect();
    trips = new PipelinedQueries(session);
    await session.query("CREATE TABLE t (id int PRIMARY KEY, v text)");
  });

  after(async () => {
    await session.end();
    await server.stop();
  });

  const copy = (...texts: readonly string[]): Statement => ({ text: "COPY t FROM STDIN", copyData: lines(...texts) });
  const update = (id: number): Statement => ({
    text: "UPDATE t SET v = v || $2 WHERE id = $1",
    values: [String(id), "!"],
    prepared: true,
  });
  const plain = (text: string): Statement => ({ text });
  const content = (): Promise<unknown[]> => server.query("TABLE t ORDER BY id");

  it("returns the number of rows that each statement affected", async () => {
    const { rows, error } = await trips.make([
      ...[plain("BEGIN"), copy("1\tone", "2\ttwo"), update(1), update(7), copy("3\tthree")],
      ...[update(3), plain("SELECT FROM t"), plain("COMMIT")],
    ]);
    assert.equal(error, undefined);
    assert.deepEqual(rows, [0, 2, 1, 0, 1, 1, 3, 0]);
    assert.deepEqual(await content(), [
      { id: 1, v: "one!" },
      { id: 2, v: "two" },
      { id: 3, v: "three!" },
    ]);
  });

  for (const [name, failing] of [
    ["a statement", plain("SELECT 1 / 0")],
    ["a COPY command", { text: "COPY nowhere FROM STDIN", copyData: lines("1") }],
    ["the data of a COPY", copy("8\teight", "not a number\tx", ...Array.from({ length: 5000 }, () => "9\tnine"))],
    ["a statement that it prepares", { ...update(1), text: "UPDATE t SET v = (1 / ($1::int - $1::int))::text || $2" }],
  ] as const)
    it(`executes no statement after a failure of ${name}, and keeps the session usable`, async () => {
      const before = await content();
      const { rows, error } = await trips.make([
        ...[plain("BEGIN"), plain("SAVEPOINT s"), update(2), failing, copy("10\tten"), update(1), plain("COMMIT")],
      ]);
      assert.ok(error && /^(22|42)/.test((error as { code?: string }).code ?? ""), String(error));
      assert.deepEqual(rows, [0, 0, 1]);
      // Statements that were prepared before and after the failure are used again, in the same transaction and after it.
      const again = await trips.make([plain("ROLLBACK TO SAVEPOINT s"), update(2), plain("ROLLBACK")]);
      assert.deepEqual([again.rows, again.error], [[0, 1, 0], undefined]);
      const failsAgain = await trips.make([failing]);
      assert.notEqual((failsAgain.error as { code?: string } | undefined)?.code, "42P05");
      assert.deepEqual(await content(), before);
    });

  it("sends a call while another one is under way, and executes it even if the other fails", async () => {
    const { stream } = (session as unknown as { connection: { stream: Socket } }).connection;
    const warnings: Error[] = [];
    const onWarning = (warning: Error): unknown => warnings.push(warning);
    process.on("warning", onWarning);
    const first = trips.make([plain("SELECT FROM pg_sleep(0.1)"), plain("SELECT 1 / 0")]);
    const { bytesWritten } = stream;
    const following = [
      [copy("20\ttwenty"), plain("SELECT 1")],
      [plain("no SQL")],
      [plain("DELETE FROM t WHERE id = 20")],
    ];
    const answers = following.map((statements) => trips.make(statements));
    assert(stream.bytesWritten > bytesWritten);
    assert.deepEqual((await first).rows, [1]);
    const [second, third, last] = await Promise.all(answers);
    assert.deepEqual([second!.rows, second!.error], [[1, 1], undefined]);
    assert.deepEqual([third!.rows, (third!.error as { code?: string }).code], [[], "42601"]);
    assert.deepEqual([last!.rows, last!.error], [[1], undefined]);
    process.off("warning", onWarning);
    assert.deepEqual(warnings, []);
  });

  it("returns the loss of the connection to each call that is under way", async () => {
    const lost = await server.connect();
    lost.on("error", () => undefined);
    const few = new PipelinedQueries(lost);
    const all = [few.make([plain("SELECT pg_terminate_backend(pg_backend_pid())")])];
    for (let n = 0; n < 3; n++) all.push(few.make([plain("SELECT 1")]));
    for (const { error } of await Promise.all(all)) assert.ok(error && isRetryable(error), String(error));
    await lost.end();
  });

  it("keeps the most recently used statements prepared, also after failures", async () => {
    const own = await server.connect();
    const most = 5;
    const prepared = new PreparedStatements(most);
    const few = new PipelinedQueries(own, prepared);
    const inserted = (n: number): Statement => ({
      text: `INSERT INTO t VALUES ($1::int + ${100 * n}, 'n')`,
      values: ["100"],
      prepared: true,
    });
    const kept = async (): Promise<string[]> => {
      const { rows } = await own.query<{ statement: string }>("SELECT statement FROM pg_prepared_statements");
      return rows.map(({ statement }) => statement);
    };
    const { error } = await few.make(Array.from({ length: 12 }, (_, n) => inserted(n)));
    assert.equal(error, undefined);
    assert.equal((await kept()).length, most);
    // The server skips everything after the failure: no statement is closed or prepared.
    await few.make([plain("BEGIN"), inserted(12), plain("SELECT 1 / 0"), ...[13, 14, 15, 0].map(inserted)]);
    const { rows } = await few.make([plain("ROLLBACK"), ...[13, 20, 21, 22].map(inserted)]);
    assert.deepEqual(rows, [0, 1, 1, 1, 1]);
    const texts = await kept();
    assert.ok(texts.length <= most);
    assert.deepEqual([...prepared.evicted], []);
    for (const n of [13, 20, 21, 22]) assert.ok(texts.includes(inserted(n).text), `${n} of ${texts.join("\n")}`);
    // A long text counts like several short ones. One that exceeds the limit alone is kept alone.
    const narrow = new PipelinedQueries(own, new PreparedStatements(most, 100));
    const long = (n: number): Statement => ({ text: `SELECT ${n} /* ${"x".repeat(40 * n)} */`, prepared: true });
    await own.query("DEALLOCATE ALL");
    for (const [lengths, left] of [
      [[1, 1.1], 1],
      [[0, 0.1, 0.2], 3],
      [[5], 1],
      [[0, 0.1], 2],
    ] as const) {
      assert.equal((await narrow.make(lengths.map(long))).error, undefined);
      assert.equal((await kept()).filter((text) => text.startsWith("SELECT ")).length, left, String(lengths));
    }
    await own.query("DELETE FROM t WHERE v = 'n'");
    await own.end();
  });

  it("returns the loss of the connection during and after a call", async () => {
    const lost = await server.connect();
    lost.on("error", () => undefined);
    const { rows, error } = await new PipelinedQueries(lost).make([
      ...[plain("BEGIN"), plain("SELECT pg_terminate_backend(pg_backend_pid())"), plain("COMMIT")],
    ]);
    assert.deepEqual(rows, [0]);
    assert.ok(error);
    await lost.end();
    const after = await new PipelinedQueries(lost).make([plain("SELECT 1")]);
    assert.ok(after.error);
  });

  it("returns a retryable error if the server has half closed the connection", async () => {
    const lost = await server.connect();
    const { stream } = (lost as unknown as { connection: { stream: Duplex } }).connection;
    const errors: Error[] = [];
    lost.on("error", (error) => errors.push(error));
    const created = await new PipelinedQueries(lost).make([plain("CREATE TEMPORARY TABLE t (id int, v text)")]);
    assert.equal(created.error, undefined);
    // Node does this when the server's FIN arrives.
    stream.end();
    const { rows, error } = await new PipelinedQueries(lost).make([copy("1\tone"), plain("SELECT 1")]);
    assert.deepEqual(rows, []);
    assert.ok(error && isRetryable(error), String(error));
    for (const one of errors) assert.ok(isRetryable(one), String(one));
    await lost.end();
  });
});
