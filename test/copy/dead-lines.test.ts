import assert from "node:assert/strict";
import type { Client } from "pg";
import { CanceledError, UnreachableError } from "../../provider/src/errors";
import { connect } from "../../provider/src/postgres/connection/connect";
import { SessionWatch, watchOf } from "../../provider/src/postgres/connection/session-watch";
import { CopyRate } from "../../provider/src/copy/copy-rate";
import { CopyStatement } from "../../provider/src/copy/copy-statement";
import { relayCopy } from "../../provider/src/copy/relay";
import { CuttableProxy } from "../cdc/cuttable-proxy";
import { EmbeddedServer } from "../support/servers/embedded-server";
import { until } from "../support/until";
import { endpointOf, freshDatabase } from "./pairs";

describe("a dead connection", () => {
  let server: EmbeddedServer;
  let database: string;
  let proxy: CuttableProxy;
  const patienceMs = 200;

  before(async () => {
    server = await EmbeddedServer.start({ major: 16 });
    database = await freshDatabase(
      server,
      "CREATE TABLE t (v text); INSERT INTO t SELECT repeat('x', 1000) FROM generate_series(1, 1000)",
      "CREATE TABLE copied (LIKE t)",
    );
  });
  after(() => server.stop());
  beforeEach(async () => {
    proxy = await CuttableProxy.to(endpointOf(server));
  });
  afterEach(() => proxy.close());

  const near = () => connect(endpointOf(server), { database, purpose: "test" });
  const far = () => connect(proxy.endpoint, { database, purpose: "test", patienceMs });
  const isDead = (error: unknown): boolean => error instanceof UnreachableError && error.message.includes(" is dead");

  const untilWaiting = (): Promise<void> =>
    until("the statement waits for the lock", async () => {
      const waiting = await server.query(
        "SELECT FROM pg_stat_activity WHERE application_name LIKE 'pg-migration %' AND wait_event_type = 'Lock'",
      );
      return waiting.length > 0;
    });

  it("ends every statement of every session with an error", async () => {
    const session = await far();
    const answer = session.query("SELECT pg_sleep(0.5)");
    proxy.swallow();
    await assert.rejects(answer, isDead);
    await session.end();
  });

  for (const end of ["source", "target"] as const)
    it(`to the ${end} of a COPY ends it with an error`, async () => {
      const obstacle = await server.connect(database);
      const [source, target] = end === "source" ? [await far(), await near()] : [await near(), await far()];
      try {
        await obstacle.query(`BEGIN; LOCK TABLE ${end === "source" ? "t" : "copied"}`);
        const pair = { copyOut: "COPY public.t TO STDOUT", copyIn: "COPY public.copied FROM STDIN" };
        const copied = relayCopy({ source, target, what: "t", ...pair });
        copied.catch(() => undefined);
        await untilWaiting();
        proxy.swallow();
        await obstacle.query("ROLLBACK");
        await assert.rejects(copied, (error: Error) => error instanceof UnreachableError && isDead(error.cause));
      } finally {
        await Promise.all([obstacle.end(), source.end(), target.end()]);
      }
    });

  it("is not assumed if a limited rate delays the parts of a long row", async () => {
    const [source, target] = await Promise.all([far(), far()]);
    try {
      let looks = 0;
      proxy.mend(() => looks++);
      const copyEnds = new AbortController();
      const pair = {
        copyOut: "COPY (SELECT repeat('x', 10000000)) TO STDOUT",
        copyIn: "COPY public.copied FROM STDIN",
        rate: new CopyRate(() => 65_536),
        signal: copyEnds.signal,
      };
      const copied = relayCopy({ source, target, what: "t", ...pair });
      copied.catch(() => undefined);
      await Promise.race([copied, until("both sessions were checked five times", () => looks >= 10)]);
      // Without its limit, the rest could take longer than `patienceMs` on a busy machine.
      copyEnds.abort();
      await assert.rejects(copied, CanceledError);
    } finally {
      await Promise.all([source.end(), target.end()]);
    }
  });

  it("is not assumed if the client starts to send during a check", async () => {
    const session = await near();
    try {
      let isSending = false;
      let looks = 0;
      let end = (): void => undefined;
      const copied = new Promise<void>((resolve) => (end = resolve));
      const ask = async (): Promise<Client> => {
        const asking = await near();
        // The third check then has the server's answer, but has not evaluated it.
        if (++looks === 3) asking.once("end", () => (isSending = true));
        if (looks === 4) end();
        return asking;
      };
      const { processId } = watchOf(session)!;
      const watch = new SessionWatch({ session, processId, where: "t", ask, patienceMs: 10 });
      const into = CopyStatement.from(session, "COPY public.copied FROM STDIN");
      await until("the COPY begins", () => into.hasBegun);
      await watch.during(Promise.race([copied, into.outcome]), () => isSending);
      into.finish();
      assert.equal((await into.outcome).ended, "complete");
    } finally {
      await session.end();
    }
  });

  it("is not assumed if the other end of a COPY is only slow", async () => {
    const obstacle = await server.connect(database);
    const [source, target] = await Promise.all([near(), far()]);
    try {
      await obstacle.query("BEGIN; LOCK TABLE t");
      const pair = { copyOut: "COPY public.t TO STDOUT", copyIn: "COPY public.copied FROM STDIN" };
      let looks = 0;
      proxy.mend(() => looks++);
      const copied = relayCopy({ source, target, what: "t", ...pair });
      copied.catch(() => undefined);
      await until("the target's session was checked five times", () => looks >= 5);
      await obstacle.query("ROLLBACK");
      assert.equal((await copied).rows, 1000);
    } finally {
      await Promise.all([obstacle.end(), source.end(), target.end()]);
    }
  });
});
