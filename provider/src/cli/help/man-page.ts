import type { Command, Option } from "commander";
import { engineVersion } from "../../engine-version.js";
import { exitCodes } from "../exit-code.js";

const environment: readonly (readonly [string, string])[] = [
  ["PGHOST, PGPORT, PGUSER, PGPASSWORD, PGSSLMODE, PGSSLROOTCERT, PGSERVICE", "the target, as in libpq"],
  ["PG_MIGRATION_SOURCE_HOST, _PORT, _USER, _PASSWORD, _SSLMODE, _SSLROOTCERT, _SERVICE", "the same for the source"],
  ["PG_MIGRATION_AUTH, PG_MIGRATION_SOURCE_AUTH", "as --auth and --source-auth"],
  ["PGSERVICEFILE, PGSYSCONFDIR, PGPASSFILE", "locations of the service and password files"],
  ["PG_MIGRATION_PASSFILE", "a mounted password file, with any permissions, instead of ~/.pgpass"],
  ["PG_MIGRATION_DASHBOARD_TOKEN", "access token of the dashboard, 16 characters or more"],
  ["PG_MIGRATION_JOB_FILE, PG_MIGRATION_JOB", "the job of worker, as the path of a JSON file or as JSON"],
  ["PG_MIGRATION_HTTP", "as --http of worker"],
  ["PG_MIGRATION_ALLOWED_HOSTS", "as --allowed-host, with commas between the names"],
  ["PG_MIGRATION_WEBHOOK_URL, PG_MIGRATION_WEBHOOK_SECRET", "URL and signing secret of the webhook"],
  ["NO_COLOR", "disables colors"],
];

const files: readonly (readonly [string, string])[] = [
  ["~/.pg_service.conf", "server definitions for --service, --source-service and --server-name"],
  ["~/.pgpass", "passwords"],
  ["~/.local/state/pg-migration/", "logs of workers started on this machine (or below $XDG_STATE_HOME)"],
];

/** The manual page as man(7) macros, generated from the program. */
export function manPage(program: Command): string {
  const name = program.name();
  return [
    `.TH ${name.toUpperCase()} 1 "" "pulumi-pg-migration ${engineVersion}" "User Commands"`,
    ".SH NAME",
    `${escape(name)} \\- ${escape(sentence(program.description()))}`,
    ".SH SYNOPSIS",
    `.B ${escape(name)}`,
    ".I command",
    "[options]",
    ".SH COMMANDS",
    ...program.commands.flatMap((command) => commandPart(name, command)),
    ".SH EXIT STATUS",
    ...Object.entries(exitCodes).flatMap(([what, code]) => item(String(code), words(what))),
    ".SH ENVIRONMENT",
    ...environment.flatMap(([what, meaning]) => item(what, meaning)),
    ".SH FILES",
    ...files.flatMap(([what, meaning]) => item(what, meaning)),
    ".SH SEE ALSO",
    ".BR psql (1),",
    ".BR pg_dump (1)",
    "",
  ].join("\n");
}

function commandPart(name: string, command: Command): string[] {
  const shown = command.options.filter(({ hidden }) => !hidden);
  return [
    `.SS ${escape(`${name} ${command.name()} ${command.usage()}`)}`,
    escape(sentence(command.description())),
    ...shown.flatMap((option) => item(option.flags, aboutOption(option))),
    ...exampleOf(command),
  ];
}

function aboutOption({ description, argChoices, defaultValue }: Option): string {
  const choices = argChoices ? ` (${argChoices.join(", ")})` : "";
  return `${description}${choices}${defaultValue === undefined ? "" : `; default ${String(defaultValue)}`}`;
}

/** The text after the options in the command's help. */
function exampleOf(command: Command): string[] {
  let help = "";
  command.configureOutput({ writeOut: (text) => (help += text) }).outputHelp();
  const example = /^Examples?\b[^]*/m.exec(help)?.[0].trimEnd();
  if (example === undefined) return [];
  return [".PP", ".nf", ...example.split("\n").map(escape), ".fi"];
}

const item = (what: string, meaning: string): string[] => [".TP", `\\fB${escape(what)}\\fR`, escape(meaning)];

const sentence = (text: string): string => text.replace(/\.$/, "");

/** @example words("wrongCommandLine") === "wrong command line" */
const words = (name: string): string => name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);

/** Escapes macros and backslashes. A hyphen stays one that can be copied. */
const escape = (text: string): string =>
  text
    .replace(/\\/g, "\\e")
    .replace(/-/g, "\\-")
    .replace(/^([.'])/, "\\&$1");
