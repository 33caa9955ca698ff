import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { changeCaptureNames } from "../provider/dist/cdc/model/names.js";
import type { SlotIdentity } from "../provider/dist/cdc/target/progress.js";
import { createPublications } from "../provider/dist/cdc/source/publication.js";
import { createSlot } from "../provider/dist/cdc/source/slot.js";
import { listTables } from "../provider/dist/postgres/tables.js";
import { EmbeddedServer, type Login } from "../test/support/servers/embedded-server";
import { type Drained, type Drainer, ours, subscription } from "./cdc-contenders";
import { type Load, loads } from "./cdc-loads";
import { DelayingProxy } from "./delaying-proxy";
import { median } from "./median";
import type { OfflineOptions, SetResult } from "./offline";

export type CdcOptions = Omit<OfflineOptions, "jobs">;

const contenders = [ours, subscription] as const;

/** The backlog of one load on the source, with a slot for each drain, and a template of the target's database. */
class Backlog {
  readonly load: Load;
  readonly database: string;
  readonly slots: SlotIdentity[] = [];
  publications: readonly string[] = [];
  readonly #source: EmbeddedServer;
  readonly #target: EmbeddedServer;
  readonly #options: CdcOptions;

  constructor(load: Load, source: EmbeddedServer, target: EmbeddedServer, options: CdcOptions) {
    this.#options = options;
    this.load = load;
    this.database = `bench_${load.name.replace(/\W+/g, "_")}`;
    this.#source = source;
    this.#target = target;
  }

  /** Creates the tables and rows on both servers, then the slots, then the changes. */
  async make(): Promise<void> {
    const { scale } = this.#options;
    for (const [server, database] of [
      [this.#source, this.database],
      [this.#target, this.#template],
    ] as const) {
      await server.query(`CREATE DATABASE ${database}`);
      await server.query(this.load.tables(scale), { database });
      await server.query("CREATE TABLE the_end (id int PRIMARY KEY)", { database });
      await server.query("VACUUM ANALYZE", { database });
    }
    await this.#publish();
    const onSource = { database: this.database };
    await Promise.all(this.load.calls(scale).map((call) => this.#source.query(call, onSource)));
    await this.#source.query("INSERT INTO the_end VALUES (1)", onSource);
  }

  async drain(round: number, contender: Drainer): Promise<Drained> {
    const { database } = this;
    await this.#target.query(`CREATE DATABASE ${database} TEMPLATE ${this.#template} STRATEGY FILE_COPY`);
    // A checkpoint that is due would slow down the next contender.
    await Promise.all([this.#source, this.#target].map((server) => server.query("CHECKPOINT")));
    const delayMs = this.load.delayMs ?? 0;
    const [delayedSource, delayedTarget] = [
      await withDelay(this.#source, delayMs),
      await withDelay(this.#target, delayMs),
    ] as const;
    const watch = await this.#target.connect(database);
    try {
      const drained = await contender.drain({
        ...{ source: this.#source, target: this.#target },
        ...{ delayedSource: delayedSource.login, delayedTarget: delayedTarget.login },
        ...{ database, slot: this.slots.pop()!, publications: this.publications },
        arrived: async () => {
          while ((await watch.query("SELECT FROM the_end")).rowCount === 0) await sleep(10);
        },
      });
      await this.#mustBeEqual();
      this.#options.say(`${this.load.name}, round ${round}: ${contender.name} ${drained.seconds.toFixed(2)} s`);
      return drained;
    } finally {
      await watch.end();
      await Promise.all([delayedSource.close(), delayedTarget.close()]);
      await this.#target.query(`DROP DATABASE ${database}`);
    }
  }

  async remove(): Promise<void> {
    await this.#source.query(`DROP DATABASE ${this.database}`);
    await this.#target.query(`DROP DATABASE ${this.#template}`);
  }

  get #template(): string {
    return `${this.database}_before`;
  }

  async #publish(): Promise<void> {
    const names = changeCaptureNames(
      { migrationName: "bench", target: this.#target.login, maintenanceDatabase: "postgres" },
      this.database,
    );
    const session = await this.#source.connect(this.database);
    this.publications = (await createPublications(session, names, await listTables(session))).publications;
    await session.end();
    for (let drain = 0; drain < this.#options.rounds * contenders.length; drain++) {
      const slot = await createSlot({
        source: { ...this.#source.login, sslMode: "Disable" },
        ...{ database: this.database, slot: `${names.slot}_${drain}`.slice(-63), plugin: "pgoutput" },
      });
      await slot.release();
      this.slots.push(slot);
    }
  }

  async #mustBeEqual(): Promise<void> {
    const [source, target] = await Promise.all([this.#source, this.#target].map((server) => this.#digest(server)));
    assert.deepEqual(target, source, `${this.load.name}: the target's content differs from the source's`);
  }

  async #digest(server: EmbeddedServer): Promise<unknown[]> {
    const tables = await server.query<{ name: string }>(
      "SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public' ORDER BY 1",
      { database: this.database },
    );
    const digests = tables.map(
      ({ name }) => `SELECT '${name}', count(*), sum(hashtextextended(t::text, 0)) FROM ${name} t`,
    );
    return server.query(digests.join(" UNION ALL "), { database: this.database });
  }
}

async function withDelay(
  { login }: EmbeddedServer,
  delayMs: number,
): Promise<{ readonly login: Login; readonly close: () => Promise<void> }> {
  if (delayMs === 0) return { login, close: () => Promise.resolve() };
  const proxy = await DelayingProxy.to(login.port, delayMs);
  return { login: { ...login, port: proxy.port }, close: () => proxy.close() };
}

async function compare(backlog: Backlog, target: EmbeddedServer, { rounds, say }: CdcOptions): Promise<SetResult> {
  const drains = new Map<Drainer, Drained[]>(contenders.map((contender) => [contender, []]));
  // Alternating, so that other load on the machine affects all contenders.
  for (let round = 1; round <= rounds; round++)
    for (const contender of contenders) drains.get(contender)!.push(await backlog.drain(round, contender));
  const secondsOf = (contender: Drainer): number => median(drains.get(contender)!.map(({ seconds }) => seconds));
  const usages = drains.get(ours)!.flatMap(({ usage }) => usage ?? []);
  const medianSeconds = secondsOf(ours);
  const peers = contenders
    .filter((contender) => contender !== ours)
    .map((peer) => ({ name: peer.name, version: peer.version(target), medianSeconds: secondsOf(peer) }));
  const ratioToBestPeer = medianSeconds / Math.min(...peers.map((peer) => peer.medianSeconds));
  const cpuSeconds = median(usages.map((usage) => usage.cpuSeconds));
  const maxRssBytes = Math.max(...usages.map((usage) => usage.maxRssBytes));
  say(
    `${backlog.load.name}: ours ${medianSeconds.toFixed(2)} s (CPU ${cpuSeconds.toFixed(2)} s, ${Math.round(maxRssBytes / 2 ** 20)} MB); ` +
      `${peers.map((peer) => `${peer.name} ${peer.medianSeconds.toFixed(2)} s`).join("; ")}; ratio to the best ${ratioToBestPeer.toFixed(2)}`,
  );
  return { name: backlog.load.name, ours: { medianSeconds, cpuSeconds, maxRssBytes }, peers, ratioToBestPeer };
}

/** Drains the backlog of each load with a follower and with a subscription. @throws if one fails, or the content differs */
export async function benchCdc(options: CdcOptions): Promise<SetResult[]> {
  const parameters = {
    ...{ wal_level: "logical", max_wal_size: "16GB", checkpoint_timeout: "1h", shared_buffers: "512MB" },
    ...{ max_replication_slots: 10 + options.rounds * contenders.length, max_wal_senders: 20, autovacuum: "off" },
  };
  const source = await EmbeddedServer.start({ major: 14, parameters });
  const target = await EmbeddedServer.start({ major: 17, parameters });
  try {
    const results: SetResult[] = [];
    for (const load of loads.filter(({ name }) => options.sets?.includes(name) ?? true)) {
      const backlog = new Backlog(load, source, target, options);
      await backlog.make();
      results.push(await compare(backlog, target, options));
      await backlog.remove();
    }
    return results;
  } finally {
    await Promise.all([source.stop(), target.stop()]);
  }
}
