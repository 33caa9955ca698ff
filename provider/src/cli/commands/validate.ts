import type { Command } from "commander";
import { wishOf } from "../../inputs/inputs.js";
import { validate } from "../../validation/validate.js";
import { exitCodes } from "../exit-code.js";
import { findingsTable } from "../findings-table.js";
import { addMigrationOptions } from "../options/migration-options.js";
import { addOutputOption, print, type OutputFlags } from "../output.js";
import { addWantedOptions, wantedInputs, type WantedFlags } from "../options/migration-inputs.js";

export function addValidate(program: Command): void {
  const command = program
    .command("validate")
    .description("look at both servers, change nothing, and say what stands in a migration's way");
  addWantedOptions(addMigrationOptions(command));
  addOutputOption(command.optionsGroup("Options:"), "table")
    .addHelpText(
      "after",
      "\nExample:\n  pg-migration validate --service prod --properties body.json --migration-mode online\n\nIt exits with 6 when something has failed.",
    )
    .action(run);
}

async function run(flags: WantedFlags & OutputFlags): Promise<void> {
  const inputs = await wantedInputs(flags, "validate");
  const findings = await validate({
    wish: wishOf(inputs),
    source: inputs.source,
    target: inputs.target,
    ownDatabases: new Set(),
    occupied: new Map(),
  });
  print(flags.output, findings, () => findingsTable(findings));
  if (findings.some(({ state }) => state === "Failed")) process.exitCode = exitCodes.validationFailed;
}
