import type { Client } from "pg";
import type { FenceSide } from "../../store/fence-record.js";
import { quoteIdentifier } from "../../postgres/identifiers.js";
import { serverVersion } from "../../postgres/server-version.js";
import type { Finding, Problem } from "../../findings.js";
import type { Rule } from "../context.js";
import { enumerate } from "../../units/enumerate.js";

const fenceOf: Readonly<Record<FenceSide, string>> = {
  source: "the fence",
  target: "the fence of a return",
};

type ServerFinding = Problem & { readonly object: string; readonly remedy: string };

const common = { type: "ServerParametersValidation" } as const;

/** Checks the requirements of the fence before the copy, because at a cutover it would be too late. */
export const fence: Rule = async ({ spec, sources, sourceSuperuser }) => {
  if (spec.fence === "none") return [];
  const [first] = sources.values();
  if (!first || sourceSuperuser) return subscriptions(sources);
  const findings: Finding[] = await serverFindings(first, "source", spec.source.user);
  for (const [database, client] of sources) findings.push(...(await ownership(database, client, spec.source.user)));
  return [...findings, ...(await subscriptions(sources))];
};

/** Obstacles to a fence on a whole server. They do not apply to superusers. */
export async function serverFindings(client: Client, side: FenceSide, user: string): Promise<ServerFinding[]> {
  return [...(await signalPrivilege(client, side, user)), ...(await rolesWithOwnSetting(client, side))];
}

async function ownership(database: string, client: Client, user: string): Promise<Finding[]> {
  const { rows } = await client.query<{ owner: string; owns: boolean; superusers: string[] }>(
    `SELECT pg_get_userbyid(datdba) AS owner, pg_has_role(datdba, 'USAGE') AS owns,
            array(SELECT DISTINCT a.usename::text FROM pg_stat_activity a JOIN pg_roles r ON r.oid = a.usesysid
                   WHERE a.datid = d.oid AND r.rolsuper) AS superusers
       FROM pg_database d WHERE datname = current_database()`,
  );
  const { owner, owns, superusers } = rows[0]!;
  const ofDatabase = { ...common, database, object: database, objectType: "Database" } as const;
  const findings: Finding[] = [];
  if (!owns)
    findings.push({
      ...ofDatabase,
      state: "Failed",
      code: "PGM-601",
      message: `${user} does not own ${database} on the source, and so cannot raise the fence`,
      remedy: `GRANT ${quoteIdentifier(owner)} TO ${quoteIdentifier(user)}, or set fence to "none"`,
    });
  if (superusers.length > 0)
    findings.push({
      ...ofDatabase,
      state: "Warning",
      code: "PGM-602",
      message: `sessions of superusers (${enumerate(superusers)}) are open in ${database}, and ${user} cannot terminate them: the fence cannot be raised while they are open`,
      remedy: "end them before the fence is raised, or connect to the source as a superuser",
    });
  return findings;
}

async function signalPrivilege(client: Client, side: FenceSide, user: string): Promise<ServerFinding[]> {
  const { rows } = await client.query<{ may: boolean }>(
    `SELECT coalesce((SELECT pg_has_role(oid, 'USAGE') FROM pg_roles WHERE rolname = 'pg_signal_backend'), false)
            OR (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS may`,
  );
  if (rows[0]!.may) return [];
  return [
    {
      ...{ ...common, object: user, objectType: "Instance", state: "Failed", code: "PGM-601" },
      message: `${user} may not terminate other roles' sessions on the ${side}, which ${fenceOf[side]} requires`,
      remedy: `as a superuser of the ${side}: GRANT pg_signal_backend TO ${quoteIdentifier(user)}; or set fence to "none"`,
    },
  ];
}

/** A role's own setting has priority over the database's. */
async function rolesWithOwnSetting(client: Client, side: FenceSide): Promise<ServerFinding[]> {
  // From 16 on, CREATEROLE permits altering only roles for which the role has ADMIN OPTION.
  const mayAlter =
    (await serverVersion(client)) >= 160000
      ? "(me.rolcreaterole AND pg_has_role(r.oid, 'USAGE WITH ADMIN OPTION'))"
      : "me.rolcreaterole";
  const { rows } = await client.query<{ role: string }>(
    `SELECT r.rolname AS role FROM pg_roles r, pg_roles me
      WHERE me.rolname = current_user AND NOT me.rolsuper AND r.rolname <> current_user
        AND (CASE WHEN r.rolsuper THEN $1 ELSE NOT ${mayAlter} END)
        AND EXISTS (SELECT FROM pg_db_role_setting s, unnest(s.setconfig) AS setting
                     WHERE s.setrole = r.oid AND setting LIKE 'default_transaction_read_only=%')`,
    [side === "source"],
  );
  return rows.map(({ role }) => ({
    ...{ ...common, object: role, objectType: "Instance", state: "Failed", code: "PGM-603" },
    message: `${role} has its own default_transaction_read_only on the ${side}, which ${fenceOf[side]} cannot replace`,
    remedy: `as a superuser of the ${side}: ALTER ROLE ${quoteIdentifier(role)} RESET default_transaction_read_only`,
  }));
}

/** A subscription's changes are applied in spite of read-only transactions. */
async function subscriptions(sources: ReadonlyMap<string, Client>): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const [database, client] of sources) {
    if ((await serverVersion(client)) < 100000) continue;
    // Only some roles may read pg_subscription; all may read its statistics.
    const { rows } = await client.query<{ name: string }>(
      `SELECT DISTINCT subname AS name FROM pg_stat_subscription
        WHERE pid IN (SELECT pid FROM pg_stat_activity WHERE datname = current_database())`,
    );
    if (rows.length === 0) continue;
    findings.push({
      ...{ ...common, database, object: database, objectType: "Database", state: "Warning", code: "PGM-604" },
      message: `the subscription ${enumerate(rows.map(({ name }) => name))} writes into ${database}, and a fence does not stop it`,
      remedy: "ALTER SUBSCRIPTION ... DISABLE before the fence is raised",
    });
  }
  return findings;
}
