import { CommanderError } from "commander";
import { messageOf } from "../errors.js";
import { exitCodeOf } from "./exit-code.js";
import { buildProgram } from "./program.js";

buildProgram()
  .parseAsync(process.argv)
  .catch((error: unknown) => {
    // Commander has said already what is wrong with the command line.
    if (!(error instanceof CommanderError)) process.stderr.write(`pg-migration: ${messageOf(error)}\n`);
    process.exitCode = exitCodeOf(error);
  });
