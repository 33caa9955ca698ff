import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import type { ServerResponse } from "node:http";
import { setImmediate as nextTurn } from "node:timers/promises";
import { Feed } from "../../provider/dist/dashboard/feed.js";
import type { Records } from "../../provider/dist/fleet/records.js";
import { until } from "../support/until";

/** A client's connection. It keeps what it receives, and stops reading when the test says so. */
class Client extends EventEmitter {
  readonly received: Buffer[] = [];
  destroyed = false;
  isReading = true;

  get text(): string {
    return this.received.join("");
  }

  writeHead(): this {
    return this;
  }

  flushHeaders(): void {}

  write(content: Buffer): boolean {
    this.received.push(content);
    return this.isReading;
  }

  end(): void {
    this.destroy();
  }

  destroy(): void {
    this.destroyed = true;
    this.emit("close");
  }

  get response(): ServerResponse {
    return this as unknown as ServerResponse;
  }
}

/** Records whose list of migrations is set by the test. */
class FakeRecords {
  reads = 0;
  names: readonly string[] = [];
  failure: Error | undefined;

  async read(_absent: unknown, run: (store: unknown) => Promise<unknown>): Promise<unknown> {
    this.reads++;
    await nextTurn();
    if (this.failure) throw this.failure;
    const spec = { source: {}, target: {}, dbsToMigrate: [] };
    const rows = this.names.map((name) => ({
      name,
      spec,
      state: "InProgress",
      started_at: new Date(0),
      ended_at: null,
    }));
    return run({ query: () => Promise.resolve(rows) });
  }
}

describe("the dashboard's feed", () => {
  let records: FakeRecords;
  let feed: Feed;

  beforeEach(() => {
    records = new FakeRecords();
    feed = new Feed(records as unknown as Records, 5);
  });

  afterEach(() => feed.streams.close());

  function attach(client = new Client()): Client {
    feed.streams.attach(client.response, undefined);
    return client;
  }

  const untilReceived = (client: Client, text: string): Promise<void> =>
    until(`a client receives ${text}`, () => client.text.includes(text), 10);

  it("serves 500 pages that open at once from two reads", async () => {
    feed = new Feed(records as unknown as Records, 60_000);
    const clients = Array.from({ length: 500 }, () => attach());
    await until("all pages are served", () => clients.every(({ received }) => received.length > 0), 10);
    assert(records.reads <= 2, `${records.reads} reads`);
    assert(new Set(clients.map(({ received }) => received[0])).size <= 2, "pages share buffers");
  });

  it("keeps at most one message for a page that does not read, and then sends it a snapshot", async () => {
    const [slow, fast] = [attach(), attach()];
    slow.isReading = false;
    await untilReceived(slow, "migrations");
    for (let i = 0; i < 20; i++) {
      records.names = [`m-${i}.`];
      await untilReceived(fast, `m-${i}.`);
    }
    assert.equal(slow.received.length, 1);
    slow.isReading = true;
    slow.emit("drain");
    await untilReceived(slow, "m-19.");
    assert.equal(slow.received.length, 2, "the changes in between are not sent");
  });

  it("reports that the target cannot be read, and claims nothing about the migrations", async () => {
    records.failure = new Error("connection refused");
    const client = attach();
    await untilReceived(client, "connection refused");
    assert.doesNotMatch(client.text, /event: migrations/);
    records.failure = undefined;
    await untilReceived(client, 'event: trouble\ndata: ""');
    await untilReceived(client, "event: migrations\ndata: []");
  });

  it("reads nothing for a page that left before it was attached", async () => {
    const client = new Client();
    client.destroy();
    attach(client);
    await nextTurn();
    assert.equal(records.reads, 0);
  });
});
