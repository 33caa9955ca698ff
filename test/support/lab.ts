import { randomBytes } from "node:crypto";
import type pg from "pg";
import { createAdventureWorks } from "../../tools/adventureworks/create-adventureworks";
import { startAzureLikeServer, type AzureLikeOptions } from "./servers/azure-like";
import type { Place } from "./content";
import { EmbeddedServer, type Login, type ServerOptions } from "./servers/embedded-server";
import { Resource } from "./resource";
import { until } from "./until";

export interface LabOptions {
  readonly source?: Partial<ServerOptions>;
  readonly target?: Partial<AzureLikeOptions>;
}

/** A source server and a target server like Azure's, with inputs for migrations between them. */
export class Lab {
  private constructor(
    readonly source: EmbeddedServer,
    readonly target: EmbeddedServer,
    readonly administrator: Login,
  ) {}

  static async start({ source, target }: LabOptions = {}): Promise<Lab> {
    const sourceServer = await EmbeddedServer.start({
      major: 14,
      ...source,
      parameters: { wal_level: "logical", ...source?.parameters },
    });
    try {
      const { server, administrator } = await startAzureLikeServer({ major: 17, ...target });
      return new Lab(sourceServer, server, administrator);
    } catch (error) {
      await sourceServer.stop();
      throw error;
    }
  }

  async stop(): Promise<void> {
    await Promise.all([this.source.stop(), this.target.stop()]);
  }

  /** Creates a database on the source. Its name is unique, so that tests on one lab do not interfere. */
  async database(sql: string): Promise<string> {
    const name = `db_${randomBytes(5).toString("hex")}`;
    await this.source.query(`CREATE DATABASE ${name}`);
    await this.source.query(sql, { database: name });
    return name;
  }

  async adventureWorks(scale = 0.01): Promise<string> {
    const name = `adventureworks_${randomBytes(5).toString("hex")}`;
    await this.source.query(`CREATE DATABASE ${name}`);
    await createAdventureWorks({ ...this.source.login, database: name }, { scale });
    return name;
  }

  /** Runs a statement in a database of the source as its superuser. */
  querySource<Row extends pg.QueryResultRow = Record<string, unknown>>(database: string, sql: string): Promise<Row[]> {
    return this.source.query<Row>(sql, { database });
  }

  /** Runs a statement in a database of the target as its administrator. */
  queryTarget<Row extends pg.QueryResultRow = Record<string, unknown>>(database: string, sql: string): Promise<Row[]> {
    return this.target.query<Row>(sql, this.onTarget(database));
  }

  /** Creates an online migration, and returns when it waits for its cutover. */
  async follow(databases: readonly string[], changes: Record<string, unknown> = {}): Promise<Resource> {
    const resource = new Resource();
    await resource.create(this.onlineInputs(databases, changes));
    return resource;
  }

  /** Runs a statement on the target when the migration requests it, and waits until the migration has resumed. */
  async runRequested(resource: Resource, database: string, statement: string): Promise<void> {
    await until(`${statement} is requested`, async () => (await resource.messageOf(database)).includes(statement));
    await this.queryTarget(database, statement);
    await until("the migration resumes", async () => (await resource.messageOf(database)) === "");
  }

  /** For queries on the target as its administrator. */
  onTarget(database: string): { readonly database: string; readonly login: Login } {
    return { database, login: this.administrator };
  }

  /**
   * Inputs of a migration with a unique name. They disable TLS, which these servers do not have. Otherwise each session
   * would start two processes of the server.
   */
  inputs(databases: readonly string[], changes: Record<string, unknown> = {}): Record<string, unknown> {
    return {
      migrationName: `m-${randomBytes(5).toString("hex")}`,
      source: { ...this.source.login, sslMode: "Disable" },
      target: { ...this.administrator, sslMode: "Disable" },
      dbsToMigrate: [...databases],
      ...changes,
    };
  }

  onlineInputs(databases: readonly string[], changes: Record<string, unknown> = {}): Record<string, unknown> {
    return this.inputs(databases, { migrationMode: "Online", ...changes });
  }

  /** A migrated database on the source and on the target. */
  places(database: string): [Place, Place] {
    return [
      { server: this.source, database },
      { server: this.target, database, login: this.administrator },
    ];
  }

  /** Databases of the target that users created. */
  async targetDatabases(): Promise<string[]> {
    const rows = await this.target.query<{ datname: string }>(
      "SELECT datname FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres' ORDER BY 1",
    );
    return rows.map(({ datname }) => datname);
  }
}
