import type { Client } from "pg";
import { messageOf } from "../../errors.js";
import type { Wish } from "../../inputs/inputs.js";
import { connect, type Endpoint } from "../../postgres/connection/connect.js";
import { sourceAdvice, type WantedParameter } from "../../display/source-advice.js";
import type { Finding } from "../../store/journal.js";

/** A server parameter of the source that has to be changed before it can be followed. */
export interface ParameterGap {
  readonly name: WantedParameter["name"];
  readonly is: string;
  readonly wanted: string;
}

/** What the source lacks for an online migration. All of these take effect when the server is restarted. */
export async function logicalReplicationGaps(source: Endpoint, wish: Wish): Promise<ParameterGap[]> {
  return onSource(source, wish, async (client) => {
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
    const { level, slots, used, senders, sending } = rows[0]!;
    // One more than there are databases: the cutover compares content under the snapshot of a temporary slot.
    const needed = wish.dbsToMigrate.length + 1;
    const gaps: ParameterGap[] = [];
    if (level !== "logical") gaps.push({ name: "wal_level", is: level, wanted: "logical" });
    if (slots - used < needed)
      gaps.push({ name: "max_replication_slots", is: String(slots), wanted: String(used + needed) });
    if (senders - sending < needed)
      gaps.push({ name: "max_wal_senders", is: String(senders), wanted: String(sending + needed) });
    return gaps;
  });
}

/**
 * Changes the parameters where the role may, and says what is left for somebody to do. Nobody restarts a server from
 * SQL.
 */
export async function setUpLogicalReplication(
  source: Endpoint,
  wish: Wish,
  gaps: readonly ParameterGap[],
): Promise<Finding[]> {
  return onSource(source, wish, (client) => Promise.all(gaps.map((gap) => setParameter(client, wish, gap))));
}

async function setParameter(client: Client, wish: Wish, { name, is, wanted }: ParameterGap): Promise<Finding> {
  const common = {
    type: "ServerParametersValidation",
    objectType: "Instance",
    object: name,
    state: "Warning",
  } as const;
  try {
    await client.query(`ALTER SYSTEM SET ${name} = ${wanted}`);
    return {
      ...common,
      message: `${name} was ${is} on the source and has been set to ${wanted}, which takes effect when the server is restarted`,
      remedy: "restart the source, for instance with pg_ctl restart or systemctl restart postgresql",
    };
  } catch (error) {
    return {
      ...common,
      message: `${name} is ${is} on the source and has to be ${wanted}, which ${wish.source.user} may not set (${messageOf(error)})`,
      remedy: sourceAdvice(wish.sourceType).set([{ name, value: wanted }]),
    };
  }
}

async function onSource<T>(source: Endpoint, wish: Wish, run: (client: Client) => Promise<T>): Promise<T> {
  const client = await connect(source, { database: wish.dbsToMigrate[0]!, purpose: `${wish.migrationName} prepare` });
  try {
    return await run(client);
  } finally {
    await client.end();
  }
}
