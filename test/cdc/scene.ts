import { Follower } from "../../provider/src/cdc/follower";
import type { FollowOptions } from "../../provider/src/cdc/follow-options";
import { changeCaptureNames } from "../../provider/src/cdc/model/names";
import { dropProgress, initProgress } from "../../provider/src/cdc/target/progress";
import { createPublications, dropPublications } from "../../provider/src/cdc/source/publication";
import { dropSlot } from "../../provider/src/cdc/source/drop-slot";
import { type OutputPlugin, createComparisonPoint, createSlot } from "../../provider/src/cdc/source/slot";
import type { Endpoint } from "../../provider/src/postgres/connection/endpoint";
import { currentLsn } from "../../provider/src/cdc/source/lag";
import type { Lsn } from "../../provider/src/postgres/lsn";
import { listTables } from "../../provider/src/postgres/tables";
import type { EmbeddedServer, Login } from "../support/servers/embedded-server";

export interface Servers {
  readonly source: EmbeddedServer;
  readonly target: EmbeddedServer;
  readonly administrator: Login;
}

export const endpointOf = (login: Login): Endpoint => ({ ...login, sslMode: "Disable" });

let scenes = 0;

/** `PG_MIGRATION_TEST_APPLY_SESSIONS=4` runs the suites of this folder with several apply sessions, without waiting for a backlog. */
export const applySessionsOfRun = Number(process.env.PG_MIGRATION_TEST_APPLY_SESSIONS ?? 1);

/** Options with which this number of sessions apply all changes that can be divided. */
export const inSessions = (sessions: number): Pick<FollowOptions, "applySessions" | "parallelFromChanges"> => ({
  applySessions: () => sessions,
  parallelFromChanges: 1,
});

/**
 * One database on both servers with the same tables, a publication and a slot, before the first change is followed. The
 * target's administrator owns the target's database, and is not a superuser.
 */
export class Scene {
  readonly database = `scene_${++scenes}_${process.pid}`;
  readonly migration = "test";
  readonly names = changeCaptureNames(
    { migrationName: this.migration, target: { host: "target", port: 5432 }, maintenanceDatabase: "postgres" },
    this.database,
  );
  readonly servers: Servers;
  readonly plugin: OutputPlugin;
  readonly #followers: Follower[] = [];
  #publications: readonly string[] = [];

  private constructor(servers: Servers, plugin: OutputPlugin) {
    this.servers = servers;
    this.plugin = plugin;
  }

  /** @param ddl runs on both servers, before the slot is created */
  static async open(servers: Servers, ddl: string, plugin: OutputPlugin = "pgoutput"): Promise<Scene> {
    const scene = new Scene(servers, plugin);
    await servers.source.query(`CREATE DATABASE ${scene.database}`);
    await servers.target.query(`CREATE DATABASE ${scene.database}`, { login: servers.administrator });
    await scene.onSource(ddl);
    await scene.onTarget(ddl);
    await scene.begin();
    return scene;
  }

  get source(): Endpoint {
    return endpointOf(this.servers.source.login);
  }

  get target(): Endpoint {
    return endpointOf(this.servers.administrator);
  }

  async begin(): Promise<void> {
    const session = await this.servers.source.connect(this.database);
    const { publications } = await createPublications(session, this.names, await listTables(session));
    await session.end();
    this.#publications = publications;
    const slot = await createSlot({
      source: this.source,
      database: this.database,
      slot: this.names.slot,
      plugin: this.plugin,
    });
    await slot.release();
    const target = await this.servers.target.connect(this.database, this.servers.administrator);
    await initProgress(target, this.migration, 0, slot);
    await target.end();
  }

  onSource(sql: string): Promise<Record<string, unknown>[]> {
    return this.servers.source.query(sql, { database: this.database });
  }

  onTarget(sql: string): Promise<Record<string, unknown>[]> {
    return this.servers.target.query(sql, { database: this.database, login: this.servers.administrator });
  }

  options(changed: Partial<FollowOptions> = {}): FollowOptions {
    return {
      source: this.source,
      target: this.target,
      database: this.database,
      targetDatabase: this.database,
      slot: this.names.slot,
      publications: this.#publications,
      plugin: this.plugin,
      migration: this.migration,
      generation: 1,
      reconnectForSeconds: 180,
      ...inSessions(applySessionsOfRun),
      ...changed,
    };
  }

  follow(changed: Partial<FollowOptions> = {}): Follower {
    const follower = new Follower(this.options(changed));
    this.#followers.push(follower);
    return follower;
  }

  async sourceLsn(): Promise<Lsn> {
    const session = await this.servers.source.connect(this.database);
    return currentLsn(session).finally(() => session.end());
  }

  /** Waits until everything that has committed on the source is applied, and compares every table. */
  async mustBecomeEqual(follower: Follower): Promise<void> {
    await follower.drainTo(await this.sourceLsn());
    follower.resume();
    await this.mustBeEqual();
  }

  async mustBeEqual(snapshotId?: string): Promise<void> {
    for (const table of await this.tables()) {
      const source = await this.content("source", table, snapshotId);
      const target = await this.content("target", table);
      if (source !== target) throw new Error(`${table} differs:\n${firstDifference(source, target)}`);
    }
  }

  /** Drains to a comparison point, and compares with the source's snapshot at that LSN. */
  async compareAtPoint(follower: Follower): Promise<void> {
    await follower.hold();
    const point = await createComparisonPoint({
      source: this.source,
      database: this.database,
      slot: `${this.names.slot}_c`.slice(-63),
      plugin: this.plugin,
    });
    try {
      await follower.drainTo(point.lsn);
      await this.mustBeEqual(point.snapshotId);
    } finally {
      await point.release();
      follower.resume();
    }
  }

  async tables(): Promise<string[]> {
    const rows = await this.onSource(
      `SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) AS name FROM pg_tables
        WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1`,
    );
    return rows.map(({ name }) => name as string);
  }

  async content(side: "source" | "target", table: string, snapshotId?: string): Promise<string> {
    const { source, target, administrator } = this.servers;
    const session =
      side === "source" ? await source.connect(this.database) : await target.connect(this.database, administrator);
    // Before 12, the server prints more digits than the value has.
    await session.query(`SET extra_float_digits = ${source.major < 12 ? 0 : 3}; SET TimeZone = 'UTC'`);
    if (snapshotId) {
      await session.query("BEGIN ISOLATION LEVEL REPEATABLE READ");
      await session.query(`SET TRANSACTION SNAPSHOT '${snapshotId}'`);
    }
    const { rows } = await session.query<{ content: string | null }>(
      `SELECT string_agg(t::text, E'\\n' ORDER BY t::text COLLATE "C") AS content FROM ONLY ${table} t`,
    );
    await session.end();
    return rows[0]!.content ?? "";
  }

  async close(): Promise<void> {
    for (const follower of this.#followers) await follower.stop();
    await dropSlot(this.source, this.database, this.names.slot);
    const session = await this.servers.source.connect(this.database);
    await dropPublications(session, this.names);
    await session.end();
    const target = await this.servers.target.connect(this.database, this.servers.administrator);
    await dropProgress(target, this.migration);
    await target.end();
    await this.servers.source.query(`DROP DATABASE ${this.database}`);
    await this.servers.target.query(`DROP DATABASE ${this.database}`, { login: this.servers.administrator });
  }
}

function firstDifference(source: string, target: string): string {
  const lines = [source, target].map((text) => text.split("\n")) as [string[], string[]];
  const only = (one: string[], other: string[]): string[] => {
    const counted = new Map<string, number>();
    for (const line of other) counted.set(line, (counted.get(line) ?? 0) + 1);
    return one.filter((line) => {
      const left = counted.get(line) ?? 0;
      counted.set(line, left - 1);
      return left <= 0;
    });
  };
  const show = (list: string[]): string => `${list.length}: ${list.slice(0, 3).join(" | ").slice(0, 500)}`;
  return `only on the source ${show(only(...lines))}\nonly on the target ${show(only(lines[1], lines[0]))}`;
}
