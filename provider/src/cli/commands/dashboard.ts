import { randomBytes } from "node:crypto";
import { Option, type Command } from "commander";
import { z } from "zod";
import { InvalidInputError } from "../../errors.js";
import type { FleetSource } from "../../dashboard/fleet/fleet.js";
import type { StoreAddress } from "../../store/installation/records-database.js";
import { startDashboard } from "../../dashboard/server.js";
import { allowedHostOption } from "../options/allowed-hosts.js";
import { addTargetOptions, resolveTarget, type TargetFlags } from "../options/server-options.js";
import { addTargetsOption, addWebhookOption } from "../options/targets-option.js";
import { fleetWebhook, type WebhookFlags } from "../options/webhook-environment.js";
import { openFleet } from "../targets/open-fleet.js";
import { readTargets } from "../targets/read-targets.js";
import { writeOutput } from "../output/terminal.js";
import { wholeNumber } from "../options/whole-number.js";
import { usualMaintenanceDatabase } from "../../inputs/maintenance-database.js";

interface Flags extends TargetFlags, WebhookFlags {
  readonly listen: string;
  readonly listenPort: number;
  readonly readOnly?: boolean;
  readonly allowedHost?: readonly string[];
}

const examples = `
Examples:
  pg-migration dashboard --service prod
  pg-migration dashboard --targets targets.csv

Prints the URL of the page, which contains an access token. To listen on an
address other than loopback, set your own token of 16 characters or more in
PG_MIGRATION_DASHBOARD_TOKEN, and put a proxy with TLS in front.`;

export function addDashboard(program: Command): void {
  const command = program
    .command("dashboard")
    .description("serve a live web page of all migrations into one server, or many")
    .option("--listen <address>", "address to listen on", "127.0.0.1")
    .addOption(
      new Option("--listen-port <port>", "port to listen on; 0 picks a free one").argParser(wholeNumber).default(8420),
    )
    .addOption(allowedHostOption("additional Host names to accept"))
    .option("--read-only", "disable cutover and cancel on the page");
  addWebhookOption(addTargetsOption(addTargetOptions(command)))
    .addHelpText("after", examples)
    .action(serve);
}

const tokenSchema = z.string().min(16).optional();

async function serve(flags: Flags): Promise<void> {
  const dashboard = await startDashboard({
    address: flags.listen,
    port: flags.listenPort,
    token: tokenFor(flags.listen),
    allowedHosts: flags.allowedHost ?? [],
    readOnly: flags.readOnly ?? false,
    ...(await served(flags)),
  });
  writeOutput(dashboard.url);
  await new Promise<void>((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => resolve());
  });
  await dashboard.close();
}

/** The target, or the list of targets. */
async function served(flags: Flags): Promise<StoreAddress | { readonly fleet: FleetSource }> {
  const { targets: list, maintenanceDatabase = usualMaintenanceDatabase } = flags;
  const webhook = fleetWebhook(flags);
  if (list === undefined) return { target: await resolveTarget(flags), maintenanceDatabase };
  const first = await openFleet(list, flags);
  return { fleet: { name: list, first, readTargets: () => readTargets(list, flags), webhook } };
}

function tokenFor(address: string): string {
  const given = tokenSchema.safeParse(process.env.PG_MIGRATION_DASHBOARD_TOKEN);
  if (!given.success)
    throw new InvalidInputError([
      { property: "PG_MIGRATION_DASHBOARD_TOKEN", reason: "must have 16 characters or more" },
    ]);
  const isLoopback = /^(127\.|::1$|localhost$)/.test(address);
  if (given.data === undefined && !isLoopback)
    throw new InvalidInputError([
      {
        property: "--listen",
        reason: `other machines can reach ${address}; set your own token in PG_MIGRATION_DASHBOARD_TOKEN`,
      },
    ]);
  return given.data ?? randomBytes(24).toString("base64url");
}
