import { randomBytes } from "node:crypto";
import { Option, type Command } from "commander";
import { z } from "zod";
import { InvalidInput } from "../../errors.js";
import { startDashboard } from "../../dashboard/server.js";
import { addTargetOptions, targetOf, type TargetFlags } from "../options/server-options.js";
import { wholeNumber } from "../options/whole-number.js";

interface Flags extends TargetFlags {
  readonly listen: string;
  readonly listenPort: number;
  readonly readOnly?: boolean;
  readonly allowedHost?: readonly string[];
}

const examples = `
Example:
  pg-migration dashboard --service prod

It prints the page's address, in which a token stands that lets a browser in. Another address than loopback needs a token
of your own, 16 characters or more, in PG_MIGRATION_DASHBOARD_TOKEN, and a proxy that speaks TLS before it.`;

export function addDashboard(program: Command): void {
  const command = program
    .command("dashboard")
    .description("serve a page that shows every migration into a server, live")
    .option("--listen <address>", "address to serve on", "127.0.0.1")
    .addOption(new Option("--listen-port <port>", "0 for any that is free").argParser(wholeNumber).default(8420))
    .option("--allowed-host <name...>", "names besides the address under which browsers reach it")
    .option("--read-only", "no cutover and no cancel from the page");
  addTargetOptions(command).addHelpText("after", examples).action(serve);
}

const tokenSchema = z.string().min(16).optional();

async function serve(flags: Flags): Promise<void> {
  const dashboard = await startDashboard({
    target: await targetOf(flags),
    maintenanceDatabase: flags.maintenanceDatabase,
    address: flags.listen,
    port: flags.listenPort,
    token: tokenFor(flags.listen),
    allowedHosts: flags.allowedHost ?? [],
    readOnly: flags.readOnly ?? false,
  });
  process.stdout.write(`${dashboard.url}\n`);
  await new Promise<void>((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => resolve());
  });
  await dashboard.close();
}

function tokenFor(address: string): string {
  const given = tokenSchema.safeParse(process.env.PG_MIGRATION_DASHBOARD_TOKEN);
  if (!given.success)
    throw new InvalidInput([{ property: "PG_MIGRATION_DASHBOARD_TOKEN", reason: "has to have 16 characters or more" }]);
  const isLoopback = /^(127\.|::1$|localhost$)/.test(address);
  if (given.data === undefined && !isLoopback)
    throw new InvalidInput([
      {
        property: "--listen",
        reason: `${address} can be reached by others; set a token of your own in PG_MIGRATION_DASHBOARD_TOKEN`,
      },
    ]);
  return given.data ?? randomBytes(24).toString("base64url");
}
