import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "pg";
import { RefusedError, TimeoutError, messageOf } from "../errors.js";
import { applicationNamePrefix } from "../postgres/connection/connect.js";
import { quoteIdentifier, quoteLiteral } from "../postgres/identifiers.js";
import { serverVersion } from "../postgres/server-version.js";
import type { FenceRecord, FenceSide } from "../store/fence-record.js";
import { sqlStateOf, sqlStates } from "../postgres/sql-state.js";

/** A fenced database: of the source from its copy (offline) or cutover on, or of the target from its return on. */
export interface FencedDatabase {
  readonly side: FenceSide;
  /** Name on that server. */
  readonly database: string;
}

/** The setting that a fence changes. */
export const fenceSetting = "default_transaction_read_only";
const endWithinMs = 30_000;

/**
 * Reads the settings that a fence will change. Call this before the fence is raised, and keep the result. Superusers of the
 * target are omitted, as in {@link putUpFence}.
 */
export async function readFenceRecord(session: Client, side: FenceSide): Promise<FenceRecord> {
  const { rows } = await session.query<{ role: string | null; setting: string | null }>(
    `WITH setting AS (
       SELECT s.setrole, s.setdatabase, substr(one, strpos(one, '=') + 1) AS value
         FROM pg_catalog.pg_db_role_setting s, unnest(s.setconfig) AS one
        WHERE split_part(one, '=', 1) = $1
          AND s.setdatabase IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()))
     )
     SELECT r.rolname AS role, (SELECT value FROM setting WHERE setrole = r.oid AND setdatabase <> 0) AS setting
       FROM pg_catalog.pg_roles r
      WHERE r.oid IN (SELECT setrole FROM setting) AND NOT (r.rolsuper AND $2)
     UNION ALL
     SELECT NULL, (SELECT value FROM setting WHERE setrole = 0 AND setdatabase <> 0)`,
    [fenceSetting, await exemptsSuperusers(session, side)],
  );
  return {
    database: rows.find(({ role }) => role === null)?.setting ?? null,
    roles: rows.flatMap((row) => (row.role === null ? [] : [{ role: row.role, setting: row.setting }])),
  };
}

/** Adds roles that got their own setting since the record was made. */
export const extendRecord = (record: FenceRecord, now: FenceRecord): FenceRecord => ({
  ...record,
  roles: [...record.roles, ...now.roles.filter(({ role }) => record.roles.every((known) => known.role !== role))],
});

/**
 * Makes every new transaction in the session's database read-only, for all roles. Terminates older sessions, because they could
 * still write. The migration's own sessions are kept, and override the setting (`connect`).
 *
 * The fence does not stop a session that overrides it: `SET default_transaction_read_only = off`, `BEGIN READ WRITE`. Sessions
 * of superusers are spared on a target whose superusers belong to its provider, such as Azure's `azuresu`: no other role can
 * terminate them.
 *
 * @returns the superusers whose sessions were spared
 * @throws RefusedError when a setting or the end of a session is denied, TimeoutError when a session does not end
 */
export async function putUpFence(session: Client, fenced: FencedDatabase, { roles }: FenceRecord): Promise<string[]> {
  const database = quoteIdentifier(fenced.database);
  await alter(session, fenced, `ALTER DATABASE ${database} SET ${fenceSetting} = on`);
  for (const { role } of roles)
    await alter(
      session,
      fenced,
      `ALTER ROLE ${quoteIdentifier(role)} IN DATABASE ${database} SET ${fenceSetting} = on`,
    );
  return endSessionsFromBefore(session, fenced);
}

/** Restores the recorded settings; idempotent. Ignores roles that were dropped since. @throws RefusedError */
export async function takeDownFence(session: Client, fenced: FencedDatabase, record: FenceRecord): Promise<void> {
  const { rows } = await session.query<{ role: string }>("SELECT rolname AS role FROM pg_catalog.pg_roles");
  const onSource = new Set(rows.map(({ role }) => role));
  const roles = record.roles.filter(({ role }) => onSource.has(role));
  for (const statement of liftingStatements(fenced.database, { ...record, roles }))
    await alter(session, fenced, statement);
}

async function exemptsSuperusers(session: Client, side: FenceSide): Promise<boolean> {
  if (side === "source") return false;
  const { rows } = await session.query<{ super: boolean }>(
    "SELECT rolsuper AS super FROM pg_catalog.pg_roles WHERE rolname = current_user",
  );
  return !rows[0]!.super;
}

/** The statements that lift a fence. */
export const fenceRemedy = (database: string, record: FenceRecord): string =>
  liftingStatements(database, record).join("; ");

function liftingStatements(name: string, record: FenceRecord): string[] {
  const database = quoteIdentifier(name);
  const to = (value: string | null): string =>
    value === null ? `RESET ${fenceSetting}` : `SET ${fenceSetting} = ${quoteLiteral(value)}`;
  return [
    ...record.roles.map((one) => `ALTER ROLE ${quoteIdentifier(one.role)} IN DATABASE ${database} ${to(one.setting)}`),
    `ALTER DATABASE ${database} ${to(record.database)}`,
  ];
}

async function alter(session: Client, { side }: FencedDatabase, statement: string): Promise<void> {
  try {
    await session.query(statement);
  } catch (cause) {
    if (sqlStateOf(cause) !== sqlStates.insufficientPrivilege) throw cause;
    throw new RefusedError(`the ${side} does not allow the fence to be set (${messageOf(cause)}): ${statement}`, {
      remedy: `connect to the ${side} as the owner of the database, or as a superuser, or set fence to "none"`,
      code: "PGM-601",
      cause,
    });
  }
}

interface Session {
  readonly pid: number;
  readonly user: string | null;
  readonly isSpared: boolean;
}

/** A session reads the settings while it starts, and is listed a moment later. So sessions are listed twice. */
async function endSessionsFromBefore(client: Client, fenced: FencedDatabase): Promise<string[]> {
  const { rows } = await client.query<{ now: string }>("SELECT clock_timestamp()::text AS now");
  const fencedAt = rows[0]!.now;
  const deadline = Date.now() + endWithinMs;
  const spared = new Set<string>();
  let clearLooks = 0;
  while (clearLooks < 2) {
    await sleep(100);
    const all = await sessionsFromBefore(client, fencedAt, await exemptsSuperusers(client, fenced.side));
    const sessions = all.filter(({ isSpared }) => !isSpared);
    for (const { user } of all.filter(({ isSpared }) => isSpared)) spared.add(user ?? "an unknown role");
    clearLooks = sessions.length === 0 ? clearLooks + 1 : 0;
    if (sessions.length > 0 && Date.now() > deadline)
      throw new TimeoutError(
        `sessions did not end within ${endWithinMs / 1000} s: ${sessions.map(nameOf).join(", ")}`,
        {
          remedy: `see in pg_stat_activity on the ${fenced.side} what they wait for, end them, and try again`,
        },
      );
    for (const session of sessions) await endSession(client, fenced, session);
  }
  return [...spared];
}

/** Client sessions other than those of migrations, replicas and logical replication. */
async function sessionsFromBefore(client: Client, moment: string, exemptsSuperusers: boolean): Promise<Session[]> {
  const isClient =
    (await serverVersion(client)) >= 100000
      ? "coalesce(backend_type, 'client backend') = 'client backend'"
      : "pid NOT IN (SELECT pid FROM pg_catalog.pg_stat_replication)";
  const { rows } = await client.query<Session>(
    `SELECT pid, usename AS user,
            $3 AND coalesce((SELECT rolsuper FROM pg_catalog.pg_roles WHERE oid = usesysid), false) AS "isSpared"
       FROM pg_catalog.pg_stat_activity
      WHERE datname = current_database() AND pid <> pg_backend_pid() AND ${isClient}
        AND coalesce(application_name, '') NOT LIKE $2 AND (backend_start IS NULL OR backend_start <= $1::timestamptz)`,
    [moment, `${applicationNamePrefix}%`, exemptsSuperusers],
  );
  return rows;
}

async function endSession(client: Client, { side }: FencedDatabase, session: Session): Promise<void> {
  try {
    await client.query("SELECT pg_catalog.pg_terminate_backend($1)", [session.pid]);
  } catch (cause) {
    if (sqlStateOf(cause) !== sqlStates.insufficientPrivilege) throw cause;
    throw new RefusedError(`${nameOf(session)} on the ${side} may not be terminated (${messageOf(cause)})`, {
      remedy: `as a superuser: GRANT pg_signal_backend to the ${side}'s role; only a superuser can terminate a superuser's session`,
      code: "PGM-601",
      cause,
    });
  }
}

const nameOf = ({ pid, user }: Session): string => `session ${pid} of ${user ?? "an unknown role"}`;
