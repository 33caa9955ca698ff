import type { Command } from "commander";

export interface TargetsFlags {
  readonly targets?: string;
}

/** Adds the option for many targets. The other options of the target complete its entries. */
export function addTargetsOption(command: Command): Command {
  return command.option(
    "--targets <list>",
    "many targets: a CSV, YAML or JSON file, a directory of service files, or azure:[query]",
  );
}
