import type { Client } from "pg";
import type { Finding } from "../../findings.js";
import type { Inputs } from "../../inputs/inputs.js";
import { targetDatabase } from "../../inputs/target-database.js";
import { withAnyDatabase } from "../../postgres/connection/any-database.js";
import type { Endpoint } from "../../postgres/connection/endpoint.js";
import { type Database, listDatabases } from "../../postgres/databases.js";
import { existingDatabase } from "../../store/installation/records-database.js";
import { validateInputs } from "./validate-inputs.js";

/** What a migration would do, for a user who has not started it. */
export interface MigrationSummary {
  readonly migrationName: string;
  readonly migrationMode: Inputs["migrationMode"];
  readonly source: SummarizedServer;
  readonly target: SummarizedServer;
  readonly databases: readonly SummarizedDatabase[];
  readonly findings: readonly Finding[];
  /** The time of the copy of the rows at {@link defaultCopyRate}; null if a size is unknown. */
  readonly secondsEstimated: number | null;
}

interface SummarizedServer {
  readonly host: string;
  readonly port: number;
  /** `server_version`, such as `17.10`. */
  readonly version: string;
}

interface SummarizedDatabase {
  readonly name: string;
  readonly targetName: string;
  /** Null if the role may not know it. */
  readonly bytes: number | null;
  /** Whether the target has a database of that name, which the migration would drop or refuse. */
  readonly existsOnTarget: boolean;
}

/** MB per second, for estimates before anything is measured. */
export const defaultCopyRate = 50;

/** Seconds that copying takes at a rate in MB per second. */
export const copySeconds = (bytes: number, rate: number): number =>
  Math.ceil(bytes / (Math.max(1, rate) * 1024 * 1024));

/**
 * Reads both servers and validates the migration. Records nothing.
 *
 * @throws RefusedError, UnreachableError when a server cannot be read
 */
export async function summarizeMigration(inputs: Inputs): Promise<MigrationSummary> {
  const { migrationName, migrationMode } = inputs;
  const source = await readServer(inputs.source, inputs.dbsToMigrate);
  const target = await readServer(inputs.target, [existingDatabase(inputs)]);
  const sizes = new Map(source.databases.map(({ name, bytes }) => [name, bytes]));
  const present = new Set(target.databases.map(({ name }) => name));
  const databases = inputs.dbsToMigrate.map((name) => {
    const targetName = targetDatabase(inputs, name);
    return { name, targetName, bytes: sizes.get(name) ?? null, existsOnTarget: present.has(targetName) };
  });
  const bytes = databases.reduce<number | null>(
    (sum, one) => (sum === null || one.bytes === null ? null : sum + one.bytes),
    0,
  );
  return {
    migrationName,
    migrationMode,
    source: source.server,
    target: target.server,
    databases,
    findings: await validateInputs(inputs),
    secondsEstimated: bytes === null ? null : copySeconds(bytes, defaultCopyRate),
  };
}

interface ReadServer {
  readonly server: SummarizedServer;
  readonly databases: readonly Database[];
}

const readServer = (endpoint: Endpoint, preferred: readonly string[]): Promise<ReadServer> =>
  withAnyDatabase({ endpoint, preferred, purpose: "summary" }, async (session) => ({
    server: { host: endpoint.host, port: endpoint.port, version: await versionOf(session) },
    databases: await listDatabases(session),
  }));

async function versionOf(session: Client): Promise<string> {
  const { rows } = await session.query<{ version: string }>("SELECT current_setting('server_version') AS version");
  return rows[0]!.version;
}
