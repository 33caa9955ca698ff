import assert from "node:assert/strict";
import type { Socket } from "node:net";
import pg from "pg";
import { CopyRate } from "../../provider/src/copy/copy-rate";
import { parseLsn } from "../../provider/src/postgres/lsn";
import { LagBackOff } from "../../provider/src/worker/monitoring/lag-back-off";
import { ReplicaLagMonitor } from "../../provider/src/worker/monitoring/replica-lag-monitor";
import { EmbeddedServer } from "../support/servers/embedded-server";
import { until } from "../support/until";
import { endpointOf } from "./pairs";

const megabyte = 1024 ** 2;

describe("the back-off of a copy from the lag of replicas", () => {
  const fast = { limitSeconds: 10, bytesPerSecond: 100 * megabyte };

  it("starts with a moderate rate, and grows to twice of what the copy reads while no replica is behind", () => {
    const backOff = new LagBackOff();
    assert.equal(backOff.bytesPerSecond, 8 * megabyte);
    for (let step = 1; step <= 20; step++) backOff.step({ ...fast, lagSeconds: 5 });
    assert.equal(backOff.bytesPerSecond, 200 * megabyte);
  });

  it("halves what the copy reads with each step beyond the limit, down to 64 kB", () => {
    const backOff = new LagBackOff();
    for (let step = 1; step <= 20; step++) backOff.step({ ...fast, lagSeconds: 0 });
    assert.equal(backOff.step({ ...fast, lagSeconds: 11 }), 50 * megabyte);
    assert.equal(backOff.step({ ...fast, lagSeconds: 12, bytesPerSecond: 50 * megabyte }), 25 * megabyte);
    for (let step = 1; step <= 20; step++) backOff.step({ ...fast, lagSeconds: 30, bytesPerSecond: 0 });
    assert.equal(backOff.bytesPerSecond, 64 * 1024);
  });

  it("keeps its rate between half of the limit and the limit, and an idle copy does not lower it", () => {
    const backOff = new LagBackOff();
    backOff.step({ ...fast, lagSeconds: 11 });
    const before = backOff.bytesPerSecond;
    assert.equal(backOff.step({ ...fast, lagSeconds: 7 }), before);
    assert.equal(backOff.step({ ...fast, lagSeconds: 10 }), before);
    assert.equal(backOff.step({ ...fast, lagSeconds: 5, bytesPerSecond: 0 }), before * 1.5);
  });
});

/** What `pg` offers beneath a client and does not type. */
interface Connection {
  readonly stream: Socket;
  query(sql: string): void;
  sendCopyFromChunk(chunk: Buffer): void;
}

/** A physical replica that receives nothing but reports what it replayed. */
class Replica {
  readonly #client: pg.Client;
  readonly #connection: Connection;

  constructor(server: EmbeddedServer, name: string) {
    const replication = { replication: "true" };
    this.#client = new pg.Client({ ...server.login, ...replication, application_name: name });
    this.#client.on("error", () => undefined);
    this.#connection = (this.#client as unknown as { connection: Connection }).connection;
  }

  async start(): Promise<void> {
    await this.#client.connect();
    const { rows } = await this.#client.query<{ xlogpos: string }>("IDENTIFY_SYSTEM");
    const start = `START_REPLICATION PHYSICAL ${rows[0]!.xlogpos}`;
    this.#client.query({
      submit: () => this.#connection.query(start),
      handleCopyData: () => undefined,
      handleError: () => undefined,
    } as unknown as pg.Submittable);
    this.replay(rows[0]!.xlogpos);
  }

  /** Sends a standby status update (manual, "Streaming Replication Protocol"). */
  replay(lsn: string): void {
    const update = Buffer.alloc(34);
    update.write("r");
    for (const at of [1, 9, 17]) update.writeBigUInt64BE(parseLsn(lsn), at);
    this.#connection.sendCopyFromChunk(update);
  }

  end(): void {
    this.#connection.stream.destroy();
  }
}

describe("the lag of replicas", () => {
  it("slows the copy down while a replica is behind, and names the replica", async () => {
    const server = await EmbeddedServer.start({ major: 17 });
    const replica = new Replica(server, "standby of the test");
    try {
      await replica.start();
      const copyRate = new CopyRate(() => undefined);
      const failures: string[] = [];
      const onFailure = (why: string): void => void failures.push(why);
      const options = { source: endpointOf(server), purpose: "replicas", limitSeconds: () => 0.5, copyRate, onFailure };
      let slowedBy: string | undefined;
      const copy = async (): Promise<void> => {
        await server.query("CREATE TABLE t ()");
        await until("the copy is slowed down", () => slowedBy !== undefined);
        assert.match(slowedBy!, /^replica standby of the test is \d+ s behind$/);
        assert(copyRate.ofProcess !== undefined && copyRate.ofProcess < 8 * megabyte);
        await until("the copy is no longer slowed down", async () => {
          const [row] = await server.query<{ lsn: string }>("SELECT pg_current_wal_flush_lsn()::text AS lsn");
          replica.replay(row!.lsn);
          return slowedBy === undefined;
        });
      };
      await new ReplicaLagMonitor(options).during("postgres", copy, (by) => (slowedBy = by));
      assert.deepEqual([copyRate.ofProcess, failures], [undefined, []]);
    } finally {
      replica.end();
      await server.stop();
    }
  });
});
