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

/** Adds the option with which a command reports what changes on the targets. */
export function addWebhookOption(command: Command): Command {
  return command.option("--webhook", "with --targets: report changes to PG_MIGRATION_WEBHOOK_URL");
}
