import { Option, type Command } from "commander";
import type { Client } from "pg";
import { sourceTypes, type SourceType } from "../../inputs/inputs.js";
import { connect } from "../../postgres/connection/connect.js";
import { quoteIdentifier } from "../../postgres/identifiers.js";
import { sourceAdvice, type SourceAdvice } from "../../display/source-advice.js";
import { exitCodes } from "../exit-code.js";
import { addOutputOption, formatTable, print, type OutputFlags } from "../output.js";
import { addSourceOptions, sourceOf, type SourceFlags } from "../options/server-options.js";
import { wholeNumber } from "../options/whole-number.js";

interface Flags extends SourceFlags, OutputFlags {
  readonly sourceType: SourceType;
  readonly sourceDatabase: string;
  readonly databaseCount: number;
}

interface Check {
  readonly check: string;
  readonly is: string;
  readonly needed: string;
  readonly prepared: boolean;
  readonly remedy: string;
}

const examples = `
Example:
  pg-migration doctor --source-service old --source-type AWS_RDS --database-count 3

It changes nothing, and exits with 6 when something is missing.`;

export function addDoctor(program: Command): void {
  const command = program
    .command("doctor")
    .description("tell whether a source is prepared for an online migration, and the commands for what is missing")
    .addOption(new Option("--source-type <type>", "where it runs").choices(sourceTypes).default("OnPremises"))
    .option("--source-database <name>", "the database to look from", "postgres")
    .addOption(
      new Option("--database-count <number>", "how many databases are to be followed")
        .argParser(wholeNumber)
        .default(1),
    );
  addSourceOptions(command);
  addOutputOption(command.optionsGroup("Options:"), "table").addHelpText("after", examples).action(doctor);
}

async function doctor(flags: Flags): Promise<void> {
  const client = await connect(await sourceOf(flags), { database: flags.sourceDatabase, purpose: "doctor" });
  let checks: Check[];
  try {
    checks = await checkSource(client, sourceAdvice(flags.sourceType), flags.databaseCount);
  } finally {
    await client.end();
  }
  print(flags.output, checks, () => checksTable(checks));
  if (checks.some(({ prepared }) => !prepared)) process.exitCode = exitCodes.validationFailed;
}

interface Facts {
  readonly version: number;
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
SELECT current_setting('server_version_num')::int AS version, current_setting('wal_level') AS wal_level,
       current_setting('max_replication_slots')::int AS slots,
       current_setting('max_replication_slots')::int - (SELECT count(*)::int FROM pg_replication_slots) AS slots_free,
       current_setting('max_wal_senders')::int AS senders,
       current_setting('max_wal_senders')::int - (SELECT count(*)::int FROM pg_stat_replication) AS senders_free,
       current_user AS role, pg_is_in_recovery() AS standby,
       (SELECT rolreplication OR rolsuper FROM pg_roles WHERE rolname = current_user)
         OR coalesce((SELECT pg_has_role(oid, 'USAGE') FROM pg_roles WHERE rolname = 'rds_replication'), false)
         AS may_replicate`;

async function checkSource(client: Client, advice: SourceAdvice, databases: number): Promise<Check[]> {
  const facts = (await client.query<Facts>(factsQuery)).rows[0]!;
  // One more than there are databases: the cutover compares under the snapshot of a slot of its own.
  const wanted = databases + 1;
  const parameters = advice.set([
    { name: "wal_level", value: "logical" },
    { name: "max_replication_slots", value: String(facts.slots + Math.max(0, wanted - facts.slots_free)) },
    { name: "max_wal_senders", value: String(facts.senders + Math.max(0, wanted - facts.senders_free)) },
  ]);
  const enough = (check: string, free: number): Check => ({
    check,
    is: `${free} free`,
    needed: `${wanted} free`,
    prepared: free >= wanted,
    remedy: parameters,
  });
  return [
    {
      check: "version",
      is: String(facts.version),
      needed: "90500 or later",
      prepared: facts.version >= 90500,
      remedy: "upgrade the source to PostgreSQL 9.5 or later",
    },
    {
      check: "primary server",
      is: facts.standby ? "standby" : "primary",
      needed: "primary",
      prepared: !facts.standby,
      remedy: "name the primary server as source",
    },
    {
      check: "wal_level",
      is: facts.wal_level,
      needed: "logical",
      prepared: facts.wal_level === "logical",
      remedy: parameters,
    },
    enough("max_replication_slots", facts.slots_free),
    enough("max_wal_senders", facts.senders_free),
    {
      check: `role ${facts.role}`,
      is: facts.may_replicate ? "may replicate" : "may not replicate",
      needed: "may replicate",
      prepared: facts.may_replicate,
      remedy: advice.replicationRole(quoteIdentifier(facts.role)),
    },
  ];
}

function checksTable(checks: readonly Check[]): string {
  const table = formatTable(
    ["Check", "Is", "Needed", "Prepared"],
    checks.map((one) => [one.check, one.is, one.needed, one.prepared ? "yes" : "NO"]),
  );
  const remedies = [...new Set(checks.filter(({ prepared }) => !prepared).map(({ remedy }) => remedy))];
  if (remedies.length === 0) return `${table}\n\nThe source is prepared.`;
  return [table, "", "To do:", ...remedies.map((remedy) => `  ${remedy}`)].join("\n");
}
