import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "pg";
import { Refused, TimedOut, messageOf } from "../errors.js";
import { applicationNamePrefix } from "../postgres/connect.js";
import { quoteIdentifier, quoteLiteral } from "../postgres/identifiers.js";
import { serverVersion } from "../postgres/server-version.js";

/**
 * What a fence has covered up, by `default_transaction_read_only` as it was set before: null where it was not set. Plain
 * JSON: the store keeps it, so that whoever takes the fence down restores just that.
 */
export interface FenceRecord {
  readonly database: string | null;
  /** Roles with a setting of their own, which would win over the database's: as it was for them in this database. */
  readonly roles: readonly { readonly role: string; readonly setting: string | null }[];
}

const setting = "default_transaction_read_only";
const endWithinMs = 30_000;

/** What putting a fence up would cover. A fence that stands is seen as it stands: keep the record of the first look. */
export async function lookBehindFence(source: Client): Promise<FenceRecord> {
  const { rows } = await source.query<{ role: string | null; setting: string | null }>(
    `WITH setting AS (
       SELECT s.setrole, s.setdatabase, substr(one, strpos(one, '=') + 1) AS value
         FROM pg_catalog.pg_db_role_setting s, unnest(s.setconfig) AS one
        WHERE split_part(one, '=', 1) = $1
          AND s.setdatabase IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()))
     )
     SELECT r.rolname AS role, (SELECT value FROM setting WHERE setrole = r.oid AND setdatabase <> 0) AS setting
       FROM pg_catalog.pg_roles r WHERE r.oid IN (SELECT setrole FROM setting)
     UNION ALL
     SELECT NULL, (SELECT value FROM setting WHERE setrole = 0 AND setdatabase <> 0)`,
    [setting],
  );
  return {
    database: rows.find(({ role }) => role === null)?.setting ?? null,
    roles: rows.flatMap((row) => (row.role === null ? [] : [{ role: row.role, setting: row.setting }])),
  };
}

/** What the record says, and the roles that have got a setting of their own since. */
export const extendRecord = (record: FenceRecord, now: FenceRecord): FenceRecord => ({
  ...record,
  roles: [...record.roles, ...now.roles.filter(({ role }) => record.roles.every((known) => known.role !== role))],
});

/**
 * Makes every transaction that begins in the session's database from now on read only, whatever its role, and ends the sessions
 * that began before: theirs would go on writing. Our own sessions stay, and set themselves free (`connect`).
 *
 * It does not hold a session that sets itself free: `SET default_transaction_read_only = off`, `BEGIN READ WRITE`.
 *
 * @throws Refused when a setting or the end of a session is denied, TimedOut when a session does not end
 */
export async function putUpFence(source: Client, name: string, { roles }: FenceRecord): Promise<void> {
  const database = quoteIdentifier(name);
  await alter(source, `ALTER DATABASE ${database} SET ${setting} = on`);
  for (const { role } of roles)
    await alter(source, `ALTER ROLE ${quoteIdentifier(role)} IN DATABASE ${database} SET ${setting} = on`);
  await endSessionsFromBefore(source);
}

/** Restores what the record says; idempotent. Roles that have been dropped since are no loss. @throws Refused */
export async function takeDownFence(source: Client, name: string, record: FenceRecord): Promise<void> {
  const { rows } = await source.query<{ role: string }>("SELECT rolname AS role FROM pg_catalog.pg_roles");
  const there = new Set(rows.map(({ role }) => role));
  const roles = record.roles.filter(({ role }) => there.has(role));
  for (const statement of liftingStatements(name, { ...record, roles })) await alter(source, statement);
}

/** How to take a fence down by hand. */
export const fenceRemedy = (database: string, record: FenceRecord): string =>
  liftingStatements(database, record).join("; ");

function liftingStatements(name: string, record: FenceRecord): string[] {
  const database = quoteIdentifier(name);
  const to = (value: string | null): string =>
    value === null ? `RESET ${setting}` : `SET ${setting} = ${quoteLiteral(value)}`;
  return [
    ...record.roles.map((one) => `ALTER ROLE ${quoteIdentifier(one.role)} IN DATABASE ${database} ${to(one.setting)}`),
    `ALTER DATABASE ${database} ${to(record.database)}`,
  ];
}

async function alter(source: Client, statement: string): Promise<void> {
  try {
    await source.query(statement);
  } catch (cause) {
    if ((cause as { code?: string }).code !== "42501") throw cause;
    throw new Refused(`the source does not let the fence be set (${messageOf(cause)}): ${statement}`, {
      remedy: 'connect to the source as the owner of the database, or as a superuser, or set fence to "none"',
      code: "603110",
      cause,
    });
  }
}

interface Session {
  readonly pid: number;
  readonly user: string | null;
}

/** A session reads the database's settings while it begins, and is listed a moment later: so the last look is a second one. */
async function endSessionsFromBefore(source: Client): Promise<void> {
  const { rows } = await source.query<{ now: string }>("SELECT clock_timestamp()::text AS now");
  const fencedAt = rows[0]!.now;
  const deadline = Date.now() + endWithinMs;
  let clearLooks = 0;
  while (clearLooks < 2) {
    await sleep(100);
    const sessions = await sessionsFromBefore(source, fencedAt);
    clearLooks = sessions.length === 0 ? clearLooks + 1 : 0;
    if (sessions.length > 0 && Date.now() > deadline)
      throw new TimedOut(`sessions do not end within ${endWithinMs / 1000} s: ${sessions.map(nameOf).join(", ")}`, {
        remedy: "see in pg_stat_activity on the source what they wait for",
      });
    for (const session of sessions) await endSession(source, session);
  }
}

/** Neither ours, by whatever migration, nor those of the server itself, of replicas and of other tools' streams. */
async function sessionsFromBefore(source: Client, moment: string): Promise<Session[]> {
  const isClient =
    (await serverVersion(source)) >= 100000
      ? "coalesce(backend_type, 'client backend') = 'client backend'"
      : "pid NOT IN (SELECT pid FROM pg_catalog.pg_stat_replication)";
  const { rows } = await source.query<Session>(
    `SELECT pid, usename AS user FROM pg_catalog.pg_stat_activity
      WHERE datname = current_database() AND pid <> pg_backend_pid() AND ${isClient}
        AND coalesce(application_name, '') NOT LIKE $2 AND (backend_start IS NULL OR backend_start <= $1::timestamptz)`,
    [moment, `${applicationNamePrefix}%`],
  );
  return rows;
}

async function endSession(source: Client, session: Session): Promise<void> {
  try {
    await source.query("SELECT pg_catalog.pg_terminate_backend($1)", [session.pid]);
  } catch (cause) {
    if ((cause as { code?: string }).code !== "42501") throw cause;
    throw new Refused(`${nameOf(session)} on the source may not be ended (${messageOf(cause)})`, {
      remedy:
        "as a superuser: GRANT pg_signal_backend to the source's role; a superuser's session only a superuser can end",
      code: "603110",
      cause,
    });
  }
}

const nameOf = ({ pid, user }: Session): string => `session ${pid} of ${user ?? "an unknown role"}`;
