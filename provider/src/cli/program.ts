import { Command } from "commander";
import { engineVersion } from "../engine-version.js";
import { addCheckNameAvailability } from "./commands/check-name-availability.js";
import { addCheckTarget } from "./commands/check-target.js";
import { addCleanup } from "./commands/cleanup.js";
import { addCompletion } from "./commands/completion.js";
import { addCreate } from "./commands/create.js";
import { addDashboard } from "./commands/dashboard.js";
import { addDatabases } from "./commands/databases.js";
import { addDelete } from "./commands/delete.js";
import { addDiffParameters } from "./commands/diff-parameters.js";
import { addDoctor } from "./commands/doctor.js";
import { addList } from "./commands/list.js";
import { addLogs } from "./commands/logs.js";
import { addPlan } from "./commands/plan.js";
import { addReport } from "./commands/report.js";
import { addShow } from "./commands/show.js";
import { addUpdate } from "./commands/update.js";
import { addValidate } from "./commands/validate.js";
import { addVerify } from "./commands/verify.js";
import { addWatch } from "./commands/watch.js";
import { addWorker } from "./commands/worker.js";
import { addInit } from "./project/init.js";
import { escapeControls } from "../units/terminal-text.js";

// Commander does not wrap this text: lines have at most 80 characters.
const epilogue = `
Passwords are not options. The target's comes from PGPASSWORD, the source's from
PG_MIGRATION_SOURCE_PASSWORD, either one from ~/.pgpass or a prompt.

Exit codes:
  0 done                     6 validation failed
  1 failed                   7 content differs
  2 wrong command line       8 timed out
  3 not found                9 canceled
  4 refused by a server     10 taken over by another worker
  5 server unreachable`;

/** The command with all its subcommands. Wrong use throws a CommanderError after its message is printed. */
export function buildProgram(): Command {
  const program = new Command("pg-migration")
    .description("Migrates PostgreSQL databases into Azure Database for PostgreSQL, or any other PostgreSQL.")
    .version(engineVersion)
    .addHelpText("after", epilogue)
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(`${escapeControls(oneLine(text))}\n`) })
    .showHelpAfterError("  To do: see pg-migration --help, or --help of the command");
  for (const add of [addCreate, addList, addShow, addUpdate, addDelete, addCheckNameAvailability]) add(program);
  for (const add of [addInit, addDatabases, addValidate, addPlan, addDoctor, addDiffParameters]) add(program);
  for (const add of [addWatch, addLogs, addReport, addVerify, addCheckTarget, addDashboard]) add(program);
  for (const add of [addWorker, addCleanup, addCompletion]) add(program);
  return program;
}

/** Commander puts its suggestion on a line of its own. */
const oneLine = (text: string): string =>
  `pg-migration: ${text
    .replace(/^error: /, "")
    .trim()
    .replace(/\s*\n\s*/g, " ")}`;
