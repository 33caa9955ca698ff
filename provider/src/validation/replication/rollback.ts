import type { Client } from "pg";
import { rollbackNames } from "../../cdc/model/names.js";
import { mayBecomeReplica } from "../../cdc/target/target-session.js";
import type { MigrationSpec } from "../../inputs/inputs.js";
import { quoteIdentifier } from "../../postgres/identifiers.js";
import { otherOwners } from "../../postgres/planner-functions.js";
import { serverVersion } from "../../postgres/server-version.js";
import type { Finding } from "../../findings.js";
import { detectPlatform } from "../../platforms/detect-platform.js";
import type { Rule } from "../context.js";
import { enumerate } from "../../units/enumerate.js";
import { serverFindings } from "./fence.js";
import { idleSlotTimeout } from "./idle-slot-timeout.js";
import { synchronousStandby } from "./synchronous-standby.js";
import { replicaTriggerGaps } from "./replica-triggers.js";
import type { RollbackGap } from "./rollback-gap.js";

const server = {
  type: "ServerParametersValidation",
  objectType: "Instance",
  state: "Failed",
  code: "PGM-605",
} as const;

const trigger = { type: "SchemaValidation", objectType: "Database", state: "Failed", code: "PGM-605" } as const;

/**
 * Rollback replication is possible: the target's changes can be replicated, and applied on the source without firing
 * triggers.
 */
export const rollbackReplication: Rule = async ({ spec, sources, target }) => {
  const [source] = sources.values();
  if (spec.rollback !== "keep" || !source) return [];
  const gaps = await rollbackGaps(source, target, spec);
  const ofDatabases: Finding[] = [];
  for (const [database, session] of sources) {
    const triggers = await replicaTriggerGaps(session, spec);
    ofDatabases.push(
      ...triggers.map((gap): Finding => ({ ...trigger, database, ...gap })),
      ...(await rolesToTrust(session, database, spec)),
    );
  }
  return [
    ...gaps.map((gap): Finding => ({ ...server, ...gap })),
    ...(await idleSlotTimeout(target, "target", await detectPlatform(target))),
    ...(await synchronousStandby(target, "target")),
    ...ofDatabases,
  ];
};

/** The owners on the source whose functions run when the target's changes are applied there. */
export async function rolesToTrust(source: Client, database: string, spec: MigrationSpec): Promise<Finding[]> {
  const { rows } = await source.query<{ name: string }>(`${otherOwners} ORDER BY 1`);
  if (rows.length === 0) return [];
  const { user } = spec.source;
  const names = enumerate(rows.map(({ name }) => quoteIdentifier(name)));
  return [
    {
      ...{ database, type: "SchemaValidation", objectType: "Database", state: "Warning", code: "PGM-607" },
      object: rows[0]!.name,
      message: `rollback replication writes to the source as ${user}. Functions of other roles then run with the privileges of ${user}, in triggers, checks, indexes, domains and generated columns. These roles own objects: ${names}`,
      remedy: `if you do not trust them, set rollback to drop, or migrate with a source role that has no more privileges than they have`,
    },
  ];
}

export async function rollbackGaps(source: Client, target: Client, spec: MigrationSpec): Promise<RollbackGap[]> {
  return [...(await targetGaps(target, spec)), ...(await sourceGaps(source, spec.source.user))];
}

async function targetGaps(target: Client, spec: MigrationSpec): Promise<RollbackGap[]> {
  const { user } = spec.target;
  const gaps = await parameterGaps(target, spec);
  if (spec.fence === "readOnly") gaps.push(...(await serverFindings(target, "target", user)));
  const { rows } = await target.query<{ may: boolean }>(
    "SELECT rolreplication OR rolsuper AS may FROM pg_roles WHERE rolname = current_user",
  );
  if (!rows[0]?.may)
    gaps.push({
      object: user,
      message: `${user} may not replicate from the target`,
      remedy: `ALTER ROLE ${quoteIdentifier(user)} REPLICATION on the target`,
    });
  return gaps;
}

async function parameterGaps(target: Client, spec: MigrationSpec): Promise<RollbackGap[]> {
  const { rows } = await target.query<Parameter>(parametersQuery, [
    spec.dbsToMigrate.map((database) => rollbackNames(spec, database).slot),
  ]);
  const gap = (object: string, message: string, value: string | number): RollbackGap => ({
    ...{ object, message },
    remedy: `set the target's server parameter ${object} to ${value} and restart it`,
  });
  const { level } = rows[0]!;
  const gaps: RollbackGap[] = [];
  if (level !== "logical")
    gaps.push(gap("wal_level", `wal_level is ${level} on the target; rollback replication needs logical`, "logical"));
  for (const { object, what, total, used, ours } of rows) {
    // One for each database that has none yet, and one for the comparison before a return.
    const wanted = spec.dbsToMigrate.length - ours + 1;
    const message = `${total - used} of ${total} ${what} are free on the target, rollback replication needs ${wanted}`;
    if (total - used < wanted) gaps.push(gap(object, message, used + wanted));
  }
  return gaps;
}

interface Parameter {
  readonly level: string;
  readonly object: string;
  readonly what: string;
  readonly total: number;
  readonly used: number;
  /** Slots or WAL senders of existing rollback replications. */
  readonly ours: number;
}

const parametersQuery = `
  SELECT current_setting('wal_level') AS level, parameter.object, parameter.what,
         current_setting(parameter.object)::int AS total, parameter.used::int AS used, parameter.ours::int AS ours
    FROM (SELECT count(*), count(*) FILTER (WHERE slot_name = ANY ($1)),
                 count(*) FILTER (WHERE slot_name = ANY ($1) AND active) FROM pg_replication_slots)
         AS slots (used, ours, streaming),
         (SELECT count(*) FROM pg_stat_replication) AS senders (used),
         LATERAL (VALUES ('max_replication_slots', 'replication slots', slots.used, slots.ours),
                         ('max_wal_senders', 'WAL senders', senders.used, slots.streaming))
         AS parameter (object, what, used, ours)`;

/**
 * Replicating the source's changes already requires that the role owns the source's tables, so that it may write them.
 */
async function sourceGaps(source: Client, user: string): Promise<RollbackGap[]> {
  if ((await serverVersion(source)) < 100000)
    return [
      {
        object: "server_version",
        message: "a source before PostgreSQL 10 does not support rollback replication",
        remedy: "migrate without rollback replication",
      },
    ];
  if (await mayBecomeReplica(source)) return [];
  return [
    {
      object: "session_replication_role",
      message: `${user} may not set session_replication_role on the source, so triggers there would fire again for changes of the target`,
      remedy: `as a superuser of the source: GRANT SET ON PARAMETER session_replication_role TO ${quoteIdentifier(user)} (15 or later), ALTER ROLE ${quoteIdentifier(user)} SUPERUSER before`,
    },
  ];
}
