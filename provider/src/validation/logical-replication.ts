import type { Client } from "pg";
import { mayBeNamedByWholeRow, mostTold, namesItsRows } from "../cdc/replica-identity.js";
import { mayBecomeReplica } from "../cdc/target-session.js";
import { qualify, quoteIdentifier } from "../postgres/identifiers.js";
import { listTables } from "../postgres/tables.js";
import type { Finding } from "../store/journal.js";
import { idleSlotTimeout } from "./idle-slot-timeout.js";
import { replicationConnections } from "./replication-connection.js";
import { enumerate, type Rule, type ValidationContext } from "./context.js";

const type = "ServerParametersValidation";
const server = { type, objectType: "Instance" } as const;

/** 603104 to 603107 and what Azure's service does not look at: the source can be followed. */
export const logicalReplication: Rule = async (context) => {
  const [first] = context.sources.values();
  if (context.wish.migrationMode === "Offline" || !first) return [];
  const findings = [
    ...(await walSettings(first, context.wish.dbsToMigrate.length)),
    ...(await replicationPrivilege(first, context.wish.source.user)),
    ...(await longTransactions(first)),
    ...(await idleSlotTimeout(first)),
  ];
  // What stands in the way of every one would only be said again.
  if (findings.every(({ state }) => state !== "Failed")) findings.push(...(await replicationConnections(context)));
  for (const [database, client] of context.sources)
    findings.push(
      ...(await publicationPrivileges(database, client, context.wish.source.user)),
      ...(await followableTables(database, client, context)),
    );
  findings.push(...(await replicationRole(context)));
  return findings.length > 0 ? findings : [{ ...server, state: "Succeeded", message: "the source can be followed" }];
};

async function walSettings(client: Client, databases: number): Promise<Finding[]> {
  const { rows } = await client.query<{
    wal_level: string;
    standby: boolean;
    slots: number;
    slots_used: number;
    senders: number;
    senders_used: number;
  }>(
    `SELECT current_setting('wal_level') AS wal_level, pg_is_in_recovery() AS standby,
            current_setting('max_replication_slots')::int AS slots,
            (SELECT count(*)::int FROM pg_replication_slots) AS slots_used,
            current_setting('max_wal_senders')::int AS senders,
            (SELECT count(*)::int FROM pg_stat_replication) AS senders_used`,
  );
  const row = rows[0]!;
  const findings: Finding[] = [];
  const alter = (name: string, value: string | number): string =>
    `ALTER SYSTEM SET ${name} = ${value}; then restart the source (on RDS, Cloud SQL and Azure: its server parameter)`;
  if (row.standby)
    findings.push({
      ...server,
      state: "Failed",
      code: "603112",
      message: "the source is a standby: no publication can be made there",
      remedy: "name the primary server as source",
    });
  if (row.wal_level !== "logical")
    findings.push({
      ...server,
      state: "Failed",
      code: "603107",
      object: "wal_level",
      message: `wal_level is ${row.wal_level} on the source; following it needs logical`,
      remedy: alter("wal_level", "logical"),
    });
  // One more than there are databases: the cutover compares content under the snapshot of a temporary slot.
  const wanted = databases + 1;
  // With one for a database they follow one after another: the worker has them wait.
  const lacking = (free: number, limit: number, what: string): Pick<Finding, "state" | "message"> => ({
    state: free < 2 ? "Failed" : "Warning",
    message:
      `${free} of ${limit} ${what} are free on the source; ${wanted} are needed` +
      (free < 2
        ? ""
        : ` to follow ${databases} databases at once: ${wanted - free} of them will wait until one is free`),
  });
  if (row.slots - row.slots_used < wanted)
    findings.push({
      ...server,
      ...lacking(row.slots - row.slots_used, row.slots, "replication slots"),
      code: "603105",
      object: "max_replication_slots",
      remedy: alter("max_replication_slots", row.slots_used + wanted),
    });
  if (row.senders - row.senders_used < wanted)
    findings.push({
      ...server,
      ...lacking(row.senders - row.senders_used, row.senders, "WAL senders"),
      code: "603106",
      object: "max_wal_senders",
      remedy: alter("max_wal_senders", row.senders_used + wanted),
    });
  return findings;
}

async function replicationPrivilege(client: Client, user: string): Promise<Finding[]> {
  const { rows } = await client.query<{ may: boolean; rds: boolean }>(
    `SELECT me.rolreplication OR me.rolsuper
            OR coalesce((SELECT pg_has_role(oid, 'USAGE') FROM pg_roles WHERE rolname = 'rds_replication'), false) AS may,
            EXISTS (SELECT FROM pg_roles WHERE rolname = 'rds_replication') AS rds
       FROM pg_roles me WHERE me.rolname = current_user`,
  );
  if (rows[0]?.may) return [];
  const role = quoteIdentifier(user);
  return [
    {
      ...server,
      state: "Failed",
      code: "603104",
      object: user,
      message: `${user} may not replicate from the source`,
      remedy: rows[0]?.rds ? `GRANT rds_replication TO ${role}` : `ALTER ROLE ${role} REPLICATION`,
    },
  ];
}

/** A slot becomes consistent only when every transaction that runs at that moment has ended. */
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
    message: `${what}; the migration starts only when it has ended`,
    remedy,
  }));
}

async function publicationPrivileges(database: string, client: Client, user: string): Promise<Finding[]> {
  const { rows } = await client.query<{ may_create: boolean; not_owned: string[] }>(
    `SELECT has_database_privilege(current_database(), 'CREATE') AS may_create,
            array(SELECT format('%I.%I', n.nspname, c.relname)
                    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                   WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p'
                     AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
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

async function followableTables(
  database: string,
  client: Client,
  { wish, sourceVersion }: Pick<ValidationContext, "wish" | "sourceVersion">,
): Promise<Finding[]> {
  const tables = (await listTables(client)).filter((table) => !table.partitioned);
  const name = (table: { schema: string; name: string }): string => `${table.schema}.${table.name}`;
  const telling = mostTold(sourceVersion);
  const nameless = tables.filter(
    (table) => !table.unlogged && !namesItsRows(table, telling) && table.columns.length > 0,
  );
  const keyless = nameless.filter((table) => mayBeNamedByWholeRow(table, telling));
  const computed = nameless.filter((table) => !keyless.includes(table));
  const unlogged = tables.filter((table) => table.unlogged);
  const common = { type: "SchemaValidation", database, objectType: "Database", state: "Warning" } as const;
  const findings: Finding[] = [];
  if (sourceVersion < 110000)
    findings.push({
      ...common,
      object: database,
      message:
        "a source before PostgreSQL 11 does not tell of TRUNCATE: a table that is truncated, or rewritten by VACUUM FULL, CLUSTER or ALTER TABLE, is copied anew while following",
      remedy: "use DELETE instead of TRUNCATE, and rewrite no large table, until the cutover",
    });
  const fullByHand = keyless
    .slice(0, 5)
    .map(({ schema, name: table }) => `ALTER TABLE ${qualify(schema, table)} REPLICA IDENTITY FULL`)
    .join("; ");
  // What was set is kept with the publication, for it to be reset, and there is none.
  if (keyless.length > 0 && wish.keylessTables === "full" && sourceVersion < 100000)
    findings.push({
      ...common,
      state: "Failed",
      object: enumerate(keyless.map(name)),
      message: `before PostgreSQL 10 keylessTables: "full" cannot set REPLICA IDENTITY FULL for you on ${enumerate(keyless.map(name))}`,
      remedy: `set keylessTables to insertsOnly, and on the source: ${fullByHand}`,
    });
  else if (keyless.length > 0 && wish.keylessTables === "full")
    findings.push({
      ...common,
      object: enumerate(keyless.map(name)),
      message: `REPLICA IDENTITY FULL is set on ${enumerate(keyless.map(name))} until the migration ends: their updates and deletes write whole rows to the WAL, and are applied one by one`,
      remedy: "give large tables a primary key before, or set keylessTables to insertsOnly",
    });
  if (keyless.length > 0 && wish.keylessTables === "insertsOnly")
    findings.push({
      ...common,
      object: enumerate(keyless.map(name)),
      message: `without a primary key or replica identity, or with one that is generated, only inserts are followed; an UPDATE or DELETE in ${enumerate(keyless.map(name))} is found at cutover as a difference`,
      remedy: `keylessTables: "full" (from PostgreSQL 10 on), or ${fullByHand}`,
    });
  if (computed.length > 0)
    findings.push({
      ...common,
      object: enumerate(computed.map(name)),
      message: `what names rows of ${enumerate(computed.map(name))} is generated, and the stream of changes leaves ${sourceVersion < 180000 ? "" : "virtual "}generated columns out: only inserts are followed; an UPDATE or DELETE there is found at cutover as a difference`,
      remedy: `give each a replica identity without generated columns, before: ALTER TABLE <table> REPLICA IDENTITY DEFAULT where it has such a primary key, or USING INDEX <a unique index over NOT NULL columns>${sourceVersion < 180000 ? ", or FULL" : ""}`,
    });
  if (unlogged.length > 0)
    findings.push({
      ...common,
      object: enumerate(unlogged.map(name)),
      message: `unlogged tables are copied once and not followed: ${enumerate(unlogged.map(name))}`,
      remedy: unlogged
        .slice(0, 5)
        .map((table) => `ALTER TABLE ${quoteIdentifier(table.schema)}.${quoteIdentifier(table.name)} SET LOGGED`)
        .join("; "),
    });
  return findings;
}

/** The applier must not fire triggers nor check foreign keys again. */
async function replicationRole({ target, wish }: ValidationContext): Promise<Finding[]> {
  if (await mayBecomeReplica(target)) return [];
  const role = quoteIdentifier(wish.target.user);
  const mayNot = `${wish.target.user} may not set session_replication_role on the target`;
  const finding = { ...server, object: "session_replication_role" };
  const remedy = `as a superuser of the target: GRANT SET ON PARAMETER session_replication_role TO ${role} (PostgreSQL 15 or later); on Azure, use the server's administrator`;
  if (wish.dataOnly)
    return [
      {
        ...finding,
        state: "Failed",
        message: `${mayNot}, so its triggers would fire again for what is applied`,
        remedy,
      },
    ];
  return [
    {
      ...finding,
      state: "Warning",
      message: `${mayNot}: foreign keys, triggers and rules are created at the cutover, foreign keys NOT VALID and then validated`,
      remedy: `none needed, where the cutover may take the time that the foreign keys' validation takes; else, ${remedy}`,
    },
  ];
}
