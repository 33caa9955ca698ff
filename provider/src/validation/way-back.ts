import type { Client } from "pg";
import { mayBecomeReplica } from "../cdc/target-session.js";
import type { Wish } from "../inputs.js";
import { quoteIdentifier } from "../postgres/identifiers.js";
import { serverVersion } from "../postgres/server-version.js";
import type { Finding } from "../store/journal.js";
import type { Rule } from "./context.js";
import { serverFindings } from "./fence.js";

const server = { type: "ServerParametersValidation", objectType: "Instance", state: "Failed" } as const;

/** What stands against a way back, with what to do. */
export interface WayBackGap {
  readonly object: string;
  readonly message: string;
  readonly remedy: string;
}

/** A way back is wanted and can be kept: the target followed, and the source written as a replica. */
export const wayBack: Rule = async ({ wish, sources, target }) => {
  const [source] = sources.values();
  if (wish.rollback !== "keep" || !source) return [];
  const gaps = await wayBackGaps(source, target, wish);
  return gaps.map((gap): Finding => ({ ...server, ...gap }));
};

export async function wayBackGaps(source: Client, target: Client, wish: Wish): Promise<WayBackGap[]> {
  return [...(await targetGaps(target, wish)), ...(await sourceGaps(source, wish.source.user))];
}

async function targetGaps(target: Client, wish: Wish): Promise<WayBackGap[]> {
  const { rows } = await target.query<{ wal_level: string; slots: number; senders: number; may: boolean }>(
    `SELECT current_setting('wal_level') AS wal_level,
            current_setting('max_replication_slots')::int - (SELECT count(*)::int FROM pg_replication_slots) AS slots,
            current_setting('max_wal_senders')::int - (SELECT count(*)::int FROM pg_stat_replication) AS senders,
            (SELECT rolreplication OR rolsuper FROM pg_roles WHERE rolname = current_user) AS may`,
  );
  const { wal_level, slots, senders, may } = rows[0]!;
  const gaps: WayBackGap[] = [];
  const parameter = (object: string, message: string, value: string): void => {
    gaps.push({ object, message, remedy: `set the target's server parameter ${object} to ${value} and restart it` });
  };
  if (wal_level !== "logical")
    parameter("wal_level", `wal_level is ${wal_level} on the target; a way back needs logical`, "logical");
  // One for each database, and one for the comparison before a return.
  const wanted = wish.dbsToMigrate.length + 1;
  if (slots < wanted)
    parameter(
      "max_replication_slots",
      `${slots} replication slots are free on the target, a way back needs ${wanted}`,
      "more",
    );
  if (senders < wanted)
    parameter("max_wal_senders", `${senders} WAL senders are free on the target, a way back needs ${wanted}`, "more");
  const { user } = wish.target;
  if (wish.fence === "readOnly") gaps.push(...(await serverFindings(target, "target", user)));
  if (!may)
    gaps.push({
      object: user,
      message: `${user} may not replicate from the target`,
      remedy: `ALTER ROLE ${quoteIdentifier(user)} REPLICATION on the target`,
    });
  return gaps;
}

/** That the role owns the source's tables, and so may write them, is asked for by following the source already. */
async function sourceGaps(source: Client, user: string): Promise<WayBackGap[]> {
  if ((await serverVersion(source)) < 100000)
    return [
      {
        object: "server_version",
        message: "a source before PostgreSQL 10 cannot take changes back",
        remedy: "migrate without a way back",
      },
    ];
  if (await mayBecomeReplica(source)) return [];
  return [
    {
      object: "session_replication_role",
      message: `${user} may not set session_replication_role on the source, so triggers there would fire again for changes that come back`,
      remedy: `as a superuser of the source: GRANT SET ON PARAMETER session_replication_role TO ${quoteIdentifier(user)} (15 or later), ALTER ROLE ${quoteIdentifier(user)} SUPERUSER before`,
    },
  ];
}
