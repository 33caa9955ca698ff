import { Option, type Command } from "commander";
import type { Client } from "pg";
import { formatTable } from "../../display/format-table.js";
import { sourceTypes, type SourceType } from "../../inputs/inputs.js";
import { withSession } from "../../postgres/connection/with-session.js";
import { quoteIdentifier } from "../../postgres/identifiers.js";
import type { Endpoint } from "../../postgres/connection/endpoint.js";
import { detectPlatform } from "../../platforms/detect-platform.js";
import { platformOfHost } from "../../platforms/platforms.js";
import { withAccessCommands } from "../../platforms/let-in.js";
import { parameterCommands, type Platform } from "../../platforms/platform.js";
import { exitCodes } from "../exit-code.js";
import { addOutputOption, print, type OutputFlags } from "../output/print.js";
import { choice } from "../options/choice.js";
import { addDatabasesOption, selectedDatabases } from "../options/migration-inputs.js";
import { addSourceOptions, resolveSource, type SourceFlags } from "../options/server-options.js";
import { wholeNumber } from "../options/whole-number.js";

interface Flags extends SourceFlags, OutputFlags {
  readonly sourceType?: SourceType;
  readonly sourceDatabase?: string;
  readonly databaseCount: number;
  readonly databases?: readonly string[];
}

interface Check {
  readonly check: string;
  readonly current: string;
  readonly required: string;
  readonly ok: boolean;
  /** How to meet the requirement; only for a failed check. */
  readonly remedy?: string;
}

const examples = `
Example:
  pg-migration doctor --source-service old --source-type AWS_RDS --database-count 3

Changes nothing. Exits with 6 when something is missing.`;

export function addDoctor(program: Command): void {
  const command = program
    .command("doctor")
    .description("check whether a source is ready for an online migration")
    .addOption(choice("--source-type <type>", "platform, if the server does not show it", sourceTypes))
    .option("--source-database <name>", "database to connect to (default: the first database, or postgres)")
    .addOption(
      new Option("--database-count <number>", "number of databases to migrate")
        .argParser(wholeNumber)
        .default(1)
        .conflicts("databases"),
    );
  addSourceOptions(addDatabasesOption(command));
  addOutputOption(command.optionsGroup("Options:"), "table").addHelpText("after", examples).action(doctor);
}

async function doctor(flags: Flags): Promise<void> {
  const source = await resolveSource(flags, flags);
  const checks = await checkServer(source, flags).catch((error: unknown) => {
    throw withAccessCommands(error, source, platformOfHost(source, flags.sourceType));
  });
  await print(flags, checks, () => checksTable(checks));
  if (checks.some(({ ok }) => !ok)) process.exitCode = exitCodes.validationFailed;
}

async function checkServer(source: Endpoint, flags: Flags): Promise<Check[]> {
  const databases = await selectedDatabases(source, flags.databases ?? []);
  const { sourceDatabase = databases[0] ?? "postgres", sourceType } = flags;
  return withSession(source, { database: sourceDatabase, purpose: "doctor" }, async (client) =>
    checkSource(client, await detectPlatform(client, sourceType), databases.length || flags.databaseCount),
  );
}

interface Facts {
  readonly version: string;
  readonly version_number: number;
  readonly wal_level: string;
  readonly slots_free: number;
  readonly slots: number;
  readonly senders_free: number;
  readonly senders: number;
  readonly role: string;
  readonly may_replicate: boolean;
  readonly standby: boolean;
}

const factsQuery = `
SELECT current_setting('server_version') AS version, current_setting('server_version_num')::int AS version_number, current_setting('wal_level') AS wal_level,
       current_setting('max_replication_slots')::int AS slots,
       current_setting('max_replication_slots')::int - (SELECT count(*)::int FROM pg_replication_slots) AS slots_free,
       current_setting('max_wal_senders')::int AS senders,
       current_setting('max_wal_senders')::int - (SELECT count(*)::int FROM pg_stat_replication) AS senders_free,
       current_user AS role, pg_is_in_recovery() AS standby,
       (SELECT rolreplication OR rolsuper FROM pg_roles WHERE rolname = current_user)
         OR coalesce((SELECT pg_has_role(oid, 'USAGE') FROM pg_roles WHERE rolname = 'rds_replication'), false)
         AS may_replicate`;

async function checkSource(client: Client, platform: Platform, databases: number): Promise<Check[]> {
  const facts = (await client.query<Facts>(factsQuery)).rows[0]!;
  // One more than databases: the cutover compares under the snapshot of an additional slot.
  const wanted = databases + 1;
  const parameters = parameterCommands(platform, [
    { name: "wal_level", value: "logical" },
    { name: "max_replication_slots", value: String(facts.slots + Math.max(0, wanted - facts.slots_free)) },
    { name: "max_wal_senders", value: String(facts.senders + Math.max(0, wanted - facts.senders_free)) },
  ]);
  const check = ({ remedy, ...result }: Check): Check =>
    result.ok || remedy === undefined ? result : { ...result, remedy };
  const isFree = (name: string, free: number): Check =>
    check({
      check: name,
      current: `${free} free`,
      required: `${wanted} free`,
      ok: free >= wanted,
      remedy: parameters,
    });
  const {
    version,
    version_number: versionNumber,
    standby,
    wal_level: walLevel,
    role,
    may_replicate: replicates,
  } = facts;
  const upgrade = "upgrade the source to PostgreSQL 9.5 or later";
  const grant = platform.grantReplication(quoteIdentifier(role));
  const { name, offlineOnly } = platform;
  return [
    check({
      check: "platform",
      current: name,
      required: "supports logical replication",
      ok: offlineOnly === undefined,
      remedy: `${offlineOnly}: migrate with migrationMode Offline`,
    }),
    check({
      check: "version",
      current: version,
      required: "9.5 or later",
      ok: versionNumber >= 90500,
      remedy: upgrade,
    }),
    check({
      check: "primary server",
      current: standby ? "standby" : "primary",
      required: "primary",
      ok: !standby,
      remedy: "pass the primary server as source",
    }),
    check({
      check: "wal_level",
      current: walLevel,
      required: "logical",
      ok: walLevel === "logical",
      remedy: parameters,
    }),
    isFree("max_replication_slots", facts.slots_free),
    isFree("max_wal_senders", facts.senders_free),
    check({
      check: `role ${role}`,
      current: replicates ? "may replicate" : "may not replicate",
      required: "may replicate",
      ok: replicates,
      remedy: grant,
    }),
  ];
}

function checksTable(checks: readonly Check[]): string {
  const table = formatTable(
    ["Check", "Current", "Required", "OK"],
    checks.map((one) => [one.check, one.current, one.required, one.ok ? "yes" : "NO"]),
  );
  const remedies = [...new Set(checks.flatMap(({ remedy }) => (remedy === undefined ? [] : [`  ${remedy}`])))];
  if (remedies.length === 0) return `${table}\n\nThe source is ready.`;
  return [table, "", "To do:", ...remedies].join("\n");
}
