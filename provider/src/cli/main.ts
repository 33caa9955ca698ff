import { CommanderError } from "commander";
import { exitCodeOf } from "./exit-code.js";
import { errorText } from "./output/error-text.js";
import { exitOnClosedPipe, writeMessage } from "./output/terminal.js";
import { buildProgram } from "./program.js";

const program = buildProgram();
exitOnClosedPipe();

/** The help that explains the given command line. */
function helpCommand(): string {
  const command = program.commands.find((one) => one.name() === process.argv[2]);
  return ["pg-migration", ...(command ? [command.name()] : []), "--help"].join(" ");
}

program.parseAsync(process.argv).catch((error: unknown) => {
  // Commander has printed its errors already.
  if (!(error instanceof CommanderError)) writeMessage(errorText(error, helpCommand()));
  process.exitCode = exitCodeOf(error);
  // After all output: the supervision of a migration may still wait for its goal, and would keep the process.
  process.stdout.write("", () => process.exit());
});
