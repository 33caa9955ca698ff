import type { Command, Option } from "commander";
import { engineVersion } from "../../engine-version.js";
import { exitCodes } from "../exit-code.js";

const environment: readonly (readonly [string, string])[] = [
  ["PGHOST, PGPORT, PGUSER, PGPASSWORD, PGSSLMODE, PGSSLROOTCERT, PGSERVICE", "the target, as libpq reads them"],
  ["PG_MIGRATION_SOURCE_HOST, _PORT, _USER, _PASSWORD, _SSLMODE, _SSLROOTCERT, _SERVICE", "the same of the source"],
  ["PGSERVICEFILE, PGSYSCONFDIR, PGPASSFILE", "where services and passwords are filed"],
  ["PG_MIGRATION_DASHBOARD_TOKEN", "what lets browsers and programs in, 16 characters or more"],
  ["PG_MIGRATION_WEBHOOK_URL, PG_MIGRATION_WEBHOOK_SECRET", "who is told of changes of state"],
  ["NO_COLOR", "no colours"],
];

const files: readonly (readonly [string, string])[] = [
  ["~/.pg_service.conf", "sections that name servers, for --service, --source-service and --server-name"],
  ["~/.pgpass", "passwords"],
  [
    "~/.local/state/pg-migration/",
    "logs of the workers that were started on this machine ($XDG_STATE_HOME is honoured)",
  ],
];

/** The manual page in man(7)'s macros, made from the program itself. */
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

/** What follows the options in the command's help. */
function exampleOf(command: Command): string[] {
  let help = "";
  command.configureOutput({ writeOut: (text) => (help += text) }).outputHelp();
  const example = /^Examples?\b[^]*/m.exec(help)?.[0].trimEnd();
  if (example === undefined) return [];
  return [".PP", ".nf", ...example.split("\n").map(escape), ".fi"];
}

const item = (what: string, meaning: string): string[] => [".TP", `\\fB${escape(what)}\\fR`, escape(meaning)];

const sentence = (text: string): string => text.replace(/\.$/, "");

/** `wrongCommandLine` as words. */
const words = (name: string): string => name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);

/** Neither a macro nor an escape; a hyphen is one that can be copied. */
const escape = (text: string): string =>
  text
    .replace(/\\/g, "\\e")
    .replace(/-/g, "\\-")
    .replace(/^([.'])/, "\\&$1");
