import { Command } from "commander";
import { engineVersion } from "../engine-version.js";
import { addCheckNameAvailability } from "./commands/check-name-availability.js";
import { addCleanup } from "./commands/cleanup.js";
import { addCompletion } from "./commands/completion.js";
import { addCreate } from "./commands/create.js";
import { addDashboard } from "./commands/dashboard.js";
import { addDelete } from "./commands/delete.js";
import { addDiffParameters } from "./commands/diff-parameters.js";
import { addDoctor } from "./commands/doctor.js";
import { addList } from "./commands/list.js";
import { addLogs } from "./commands/logs.js";
import { addPlan } from "./commands/plan.js";
import { addShow } from "./commands/show.js";
import { addUpdate } from "./commands/update.js";
import { addValidate } from "./commands/validate.js";
import { addVerify } from "./commands/verify.js";
import { addWatch } from "./commands/watch.js";
import { addWorker } from "./commands/worker.js";

const epilogue = `
Passwords are never flags: PGPASSWORD for the target and PG_MIGRATION_SOURCE_PASSWORD for the source, ~/.pgpass, or you are
asked. Exit codes: 0 done, 1 failed, 2 wrong command line or inputs, 3 not found, 4 refused by a server, 5 unreachable,
6 validation failed, 7 content differs, 8 timed out, 9 canceled, 10 taken over by another worker.`;

/** The command with all its subcommands; wrong use throws a CommanderError after it has been told. */
export function buildProgram(): Command {
  const program = new Command("pg-migration")
    .description("Migrates PostgreSQL databases into Azure Database for PostgreSQL, or any other PostgreSQL.")
    .version(engineVersion)
    .addHelpText("after", epilogue)
    .exitOverride()
    .configureOutput({
      outputError: (text, write) => write(`${text.replace(/^error: /, "pg-migration: ").trimEnd()}\n`),
    })
    .showHelpAfterError("  To do: see pg-migration --help, and --help after any command");
  for (const add of [addCreate, addList, addShow, addUpdate, addDelete, addCheckNameAvailability]) add(program);
  for (const add of [addValidate, addPlan, addDoctor, addDiffParameters]) add(program);
  for (const add of [addWatch, addLogs, addVerify, addDashboard, addWorker, addCleanup, addCompletion]) add(program);
  return program;
}
