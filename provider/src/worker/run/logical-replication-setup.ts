import type { Client } from "pg";
import { messageOf } from "../../errors.js";
import type { MigrationSpec } from "../../inputs/inputs.js";
import { withSession } from "../../postgres/connection/with-session.js";
import type { Endpoint } from "../../postgres/connection/endpoint.js";
import type { FindingCode } from "../../finding-codes/finding-code.js";
import { detectPlatform } from "../../platforms/detect-platform.js";
import { parameterCommands, type Platform } from "../../platforms/platform.js";
import type { Finding } from "../../findings.js";

const codeOf = {
  wal_level: "603107",
  max_replication_slots: "603105",
  max_wal_senders: "603106",
} as const satisfies Readonly<Record<string, FindingCode>>;

/** A server parameter of the source that logical replication requires to be changed. */
export interface ParameterGap {
  readonly name: keyof typeof codeOf;
  readonly is: string;
  readonly wanted: string;
}

/** The parameters that an online migration needs changed. All of them take effect at a server restart. */
export async function logicalReplicationGaps(source: Endpoint, spec: MigrationSpec): Promise<ParameterGap[]> {
  return onSource(source, spec, async (client) => {
    const { rows } = await client.query<{
      level: string;
      slots: number;
      used: number;
      senders: number;
      sending: number;
    }>(
      `SELECT current_setting('wal_level') AS level, current_setting('max_replication_slots')::int AS slots,
              (SELECT count(*)::int FROM pg_replication_slots) AS used,
              current_setting('max_wal_senders')::int AS senders,
              (SELECT count(*)::int FROM pg_stat_replication) AS sending`,
    );
    const { offlineOnly } = await detectPlatform(client, spec.sourceType);
    // The validation reports it.
    if (offlineOnly !== undefined) return [];
    const { level, slots, used, senders, sending } = rows[0]!;
    // One more than the number of databases: the cutover compares rows under the snapshot of a temporary slot.
    const needed = spec.dbsToMigrate.length + 1;
    const gaps: ParameterGap[] = [];
    if (level !== "logical") gaps.push({ name: "wal_level", is: level, wanted: "logical" });
    if (slots - used < needed)
      gaps.push({ name: "max_replication_slots", is: String(slots), wanted: String(used + needed) });
    if (senders - sending < needed)
      gaps.push({ name: "max_wal_senders", is: String(senders), wanted: String(sending + needed) });
    return gaps;
  });
}

/** Changes the parameters if the role may, and returns the remaining manual steps. SQL cannot restart a server. */
export async function setUpLogicalReplication(
  source: Endpoint,
  spec: MigrationSpec,
  gaps: readonly ParameterGap[],
): Promise<Finding[]> {
  return onSource(source, spec, async (client) => {
    const platform = await detectPlatform(client, spec.sourceType);
    return Promise.all(gaps.map((gap) => setParameter(client, gap, platform, spec.source.user)));
  });
}

async function setParameter(
  client: Client,
  { name, is, wanted }: ParameterGap,
  platform: Platform,
  user: string,
): Promise<Finding> {
  const common = {
    type: "ServerParametersValidation",
    objectType: "Instance",
    code: codeOf[name],
    object: name,
    state: "Warning",
  } as const;
  try {
    await client.query(`ALTER SYSTEM SET ${name} = ${wanted}`);
    return {
      ...common,
      message: `${name} was ${is} on the source and is now set to ${wanted}; this takes effect when the server is restarted`,
      remedy: `restart the source: ${platform.restart ?? "through its service"}`,
    };
  } catch (error) {
    return {
      ...common,
      message: `${name} is ${is} on the source but must be ${wanted}; ${user} may not set it (${messageOf(error)})`,
      remedy: parameterCommands(platform, [{ name, value: wanted }]),
    };
  }
}

const onSource = <T>(source: Endpoint, spec: MigrationSpec, run: (client: Client) => Promise<T>): Promise<T> =>
  withSession(source, { database: spec.dbsToMigrate[0]!, purpose: `${spec.migrationName} prepare` }, run);
