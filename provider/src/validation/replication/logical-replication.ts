import { userSchemas } from "../../postgres/catalogue-filters.js";
import type { Client } from "pg";
import { mayBecomeReplica } from "../../cdc/target/target-session.js";
import { quoteIdentifier } from "../../postgres/identifiers.js";
import type { Finding } from "../../findings.js";
import type { Platform } from "../../platforms/platform.js";
import { followableTables } from "./followable-tables.js";
import { idleSlotTimeout } from "./idle-slot-timeout.js";
import { replicationConnections } from "./replication-connection.js";
import type { Rule, ValidationContext } from "../context.js";
import { enumerate } from "../../units/enumerate.js";
import { synchronousStandby } from "./synchronous-standby.js";
import { walSettings } from "./wal-settings.js";

const type = "ServerParametersValidation";
const server = { type, objectType: "Instance" } as const;

/** 603104 to 603107, and conditions that Azure's service does not check: the source's changes can be replicated. */
export const logicalReplication: Rule = async (context) => {
  const [first] = context.sources.values();
  if (context.spec.migrationMode === "Offline" || !first) return [];
  const { sourcePlatform: platform } = context;
  if (platform.offlineOnly !== undefined) return [offlineOnly(platform.offlineOnly)];
  const findings = [
    ...(await walSettings(first, context.spec.dbsToMigrate.length, platform)),
    ...(await replicationPrivilege(first, context.spec.source.user, platform)),
    ...(await longTransactions(first)),
    ...(await idleSlotTimeout(first, "source", platform)),
    ...(await synchronousStandby(first, "source")),
  ];
  // A general obstacle would only be reported again for each database.
  if (findings.every(({ state }) => state !== "Failed")) findings.push(...(await replicationConnections(context)));
  for (const [database, client] of context.sources)
    findings.push(
      ...(await publicationPrivileges(database, client, context.spec.source.user)),
      ...(await followableTables(database, client, context)),
    );
  findings.push(...(await replicationRole(context)));
  return findings.length > 0
    ? findings
    : [{ ...server, state: "Succeeded", message: "the source's changes can be replicated" }];
};

const offlineOnly = (reason: string): Finding => ({
  ...{ ...server, state: "Failed", code: "PGM-209" },
  message: `${reason}, so the source cannot be migrated online`,
  remedy: "set migrationMode to Offline, and stop the applications before the migration starts",
});

async function replicationPrivilege(client: Client, user: string, platform: Platform): Promise<Finding[]> {
  const { rows } = await client.query<{ may: boolean }>(
    `SELECT me.rolreplication OR me.rolsuper
            OR coalesce((SELECT pg_has_role(oid, 'USAGE') FROM pg_roles WHERE rolname = 'rds_replication'), false) AS may
       FROM pg_roles me WHERE me.rolname = current_user`,
  );
  if (rows[0]?.may) return [];
  return [
    {
      ...server,
      state: "Failed",
      code: "603104",
      object: user,
      message: `${user} may not replicate from the source`,
      remedy: platform.grantReplication(quoteIdentifier(user)),
    },
  ];
}

/** A slot becomes consistent only when all transactions that are running now have ended. */
async function longTransactions(client: Client): Promise<Finding[]> {
  const { rows } = await client.query<{ what: string; remedy: string }>(
    `SELECT format('session %s of %s (%s, %s) has a transaction open since %s', pid, usename, application_name, state,
                   date_trunc('second', xact_start)) AS what,
            format('SELECT pg_terminate_backend(%s)', pid) AS remedy
       FROM pg_stat_activity
      WHERE backend_xid IS NOT NULL AND xact_start < now() - interval '30 seconds' AND pid <> pg_backend_pid()
     UNION ALL
     SELECT format('the prepared transaction %L of %s is open since %s', gid, owner, date_trunc('second', prepared)),
            format('ROLLBACK PREPARED %L, or COMMIT PREPARED', gid)
       FROM pg_prepared_xacts`,
  );
  return rows.map(({ what, remedy }) => ({
    ...server,
    state: "Warning",
    code: "PGM-202",
    message: `${what}; the migration starts only when it has ended`,
    remedy,
  }));
}

/** 603110: the role may create a publication of all tables. */
export async function publicationPrivileges(database: string, client: Client, user: string): Promise<Finding[]> {
  const { rows } = await client.query<{ may_create: boolean; not_owned: string[] }>(
    `SELECT has_database_privilege(current_database(), 'CREATE') AS may_create,
            array(SELECT format('%I.%I', n.nspname, c.relname)
                    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                   WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p'
                     AND ${userSchemas("n")}
                     AND NOT pg_has_role(c.relowner, 'USAGE')
                     AND NOT EXISTS (SELECT FROM pg_depend d
                                      WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
                   ORDER BY 1) AS not_owned`,
  );
  const { may_create, not_owned } = rows[0]!;
  const common = { type, database, object: database, objectType: "Database", state: "Failed", code: "603110" } as const;
  const findings: Finding[] = [];
  if (!may_create)
    findings.push({
      ...common,
      message: `${user} may not create a publication in ${database}`,
      remedy: `GRANT CREATE ON DATABASE ${quoteIdentifier(database)} TO ${quoteIdentifier(user)}`,
    });
  if (not_owned.length > 0)
    findings.push({
      ...common,
      message: `${user} may not publish ${enumerate(not_owned)} in ${database}: only an owner may`,
      remedy: `GRANT <owner of these tables> TO ${quoteIdentifier(user)}`,
    });
  return findings;
}

/** Applying changes must not fire triggers or check foreign keys again. */
async function replicationRole({ target, spec }: ValidationContext): Promise<Finding[]> {
  if (await mayBecomeReplica(target)) return [];
  const role = quoteIdentifier(spec.target.user);
  const mayNot = `${spec.target.user} may not set session_replication_role on the target`;
  const finding = { ...server, code: "PGM-306", object: "session_replication_role" } as const;
  const remedy = `as a superuser of the target: GRANT SET ON PARAMETER session_replication_role TO ${role} (PostgreSQL 15 or later); on Azure, use the server's administrator`;
  if (spec.dataOnly)
    return [
      {
        ...finding,
        state: "Failed",
        message: `${mayNot}, so its triggers would fire again for applied changes`,
        remedy,
      },
    ];
  return [
    {
      ...finding,
      state: "Warning",
      message: `${mayNot}: foreign keys, triggers and rules are created at the cutover, foreign keys NOT VALID and then validated`,
      remedy: `none needed, if the cutover may take the time of validating the foreign keys; otherwise, ${remedy}`,
    },
  ];
}
