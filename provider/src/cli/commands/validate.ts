import type { Command } from "commander";
import { validateInputs } from "../../resource/summary/validate-inputs.js";
import { exitCodes } from "../exit-code.js";
import { formatFindings } from "../output/problem-lines.js";
import { addMigrationOptions } from "../options/migration-options.js";
import { addOutputOption, print, type OutputFlags } from "../output/print.js";
import { addInputOptions, resolveInputs, type InputFlags } from "../options/migration-inputs.js";

export function addValidate(program: Command): void {
  const command = program.command("validate").description("report what would block a migration; changes nothing");
  addInputOptions(addMigrationOptions(command));
  addOutputOption(command.optionsGroup("Options:"), "table")
    .addHelpText(
      "after",
      "\nExample:\n  pg-migration validate --service prod --properties body.json --migration-mode online\n\nExits with 6 when a finding has failed.",
    )
    .action(run);
}

async function run(flags: InputFlags & OutputFlags): Promise<void> {
  const findings = await validateInputs(await resolveInputs(flags, "validate"));
  await print(flags, findings, () => formatFindings(findings));
  if (findings.some(({ state }) => state === "Failed")) process.exitCode = exitCodes.validationFailed;
}
