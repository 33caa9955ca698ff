import { mkdir, readFile, writeFile } from "node:fs/promises";
import { resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { randomBytes } from "node:crypto";
import { parseArgs } from "node:util";
import { Client } from "pg";
import { createAdventureWorks } from "../adventureworks/create-adventureworks";
import { Checks } from "../demo/checks";
import { Display } from "../pulumi-host/display";
import type { Host } from "../pulumi-host/host";
import { selectHost } from "../pulumi-host/select-host";
import { runMain } from "../run-main";
import { succeed, walkLab, type Connection, type MigrationSettings } from "./walk-lab";

const usage = `npm run acceptance -- --ssh-key ~/.ssh/id_ed25519.pub [--location westeurope] [--state DIRECTORY]

Runs the lab in your Azure subscription: network, VPN, flexible server, a source server with AdventureWorks, an offline
and an online migration. Then it destroys everything. It takes about two hours, and costs a few US dollars.

Before: az login; pulumi is on PATH; npm run vpn-certificates -- --client laptop. During the run, it asks you to connect
the VPN. After a failure, the resources stay: fix the cause and run it again, or delete the resource group.`;

const database = "adventureworks";
const sourceHost = "10.0.5.4";
const reachableWithinMs = 60 * 60_000;
const say = (line: string): void => void process.stdout.write(`\n== ${line}\n`);

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      "ssh-key": { type: "string" },
      location: { type: "string", default: "westeurope" },
      state: { type: "string", default: "acceptance-state" },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  const sshKey = values["ssh-key"];
  if (values.help || sshKey === undefined) {
    process.stderr.write(`${usage}\n`);
    return 2;
  }
  const display = new Display(process.stdout);
  const sshPublicKey = (await readFile(sshKey, "utf8")).trim();
  const stateDirectory = resolve(values.state);
  const password = await passwordIn(stateDirectory);
  const deploy = (changes: Record<string, unknown>): Host =>
    selectHost({
      programDirectory: resolve("lab-stack"),
      stack: "acceptance",
      stateFile: `${stateDirectory}/state.json`,
      directory: stateDirectory,
      config: texts({
        ...{ location: values.location, sourceServer: { sshPublicKey }, monitoring: {} },
        ...{ parameters: { extensions: ["tablefunc", "uuid-ossp"] } },
        ...changes,
      }),
      secretConfig: { sourcePassword: password, administratorPassword: password },
      onEvent: (event) => display.show(event),
    });
  const checks = new Checks();
  try {
    say("pulumi up: network, VPN, flexible server, source server (about 45 minutes)");
    const { outputs } = await succeed(deploy({}).up());
    const source = { host: sourceHost, port: 5432, user: "postgres", password, database };
    const target = { ...source, host: text(outputs.host), user: text(outputs.administratorLogin), tls: true };
    await awaitVpn(text(outputs.resourceGroup), [source, target]);
    await createSource(source);
    const withMigration = (settings: MigrationSettings): Host =>
      deploy({
        migration: {
          source: { host: sourceHost, user: source.user, network: "virtualNetwork" },
          databases: [database],
          ...settings,
        },
      });
    await walkLab({ deploy: withMigration, source, target, checks, say });
    say("destroy");
    await succeed(deploy({ protectData: false, phase: "run" }).up());
    await succeed(deploy({ protectData: false, phase: "run" }).destroy());
  } catch (error) {
    checks.equal("the run", error instanceof Error ? error.message : String(error), "no error");
  } finally {
    display.close();
  }
  process.stdout.write(`\n${checks.table()}\n\n${checks.ok ? "All as expected." : "Something is not as expected."}\n`);
  return checks.ok ? 0 : 1;
}

/** The password of both servers. A further run needs the same one, because the source server is configured once. */
async function passwordIn(directory: string): Promise<string> {
  const file = `${directory}/password`;
  await mkdir(directory, { recursive: true });
  try {
    return await readFile(file, "utf8");
  } catch {
    const password = `Lab1${randomBytes(18).toString("base64url")}`;
    await writeFile(file, password, { mode: 0o600 });
    return password;
  }
}

const text = (output: unknown): string => (typeof output === "string" ? output : "");

const texts = (config: Record<string, unknown>): Record<string, string> =>
  Object.fromEntries(
    Object.entries(config).map(([key, value]) => [key, typeof value === "string" ? value : JSON.stringify(value)]),
  );

async function awaitVpn(group: string, servers: readonly Connection[]): Promise<void> {
  say("connect the VPN now; the profile is at the URL that this command prints, docs/lab.md explains the rest:");
  say(`az network vnet-gateway vpn-client generate -g ${group} -n ${group.replace(/^rg/, "vgw")}`);
  const deadline = Date.now() + reachableWithinMs;
  for (const server of servers) {
    for (;;) {
      const failure = await failureOf(server);
      if (failure === undefined) break;
      if (Date.now() > deadline) throw new Error(`${server.host} cannot be reached: ${failure}`);
      await sleep(10_000);
    }
    say(`${server.host} answers`);
  }
}

/** Why the server does not answer yet; undefined if it does. */
async function failureOf({ tls, ...server }: Connection): Promise<string | undefined> {
  const client = new Client({ ...server, database: "postgres", ssl: tls === true, connectionTimeoutMillis: 10_000 });
  try {
    await client.connect();
    await client.end();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

async function createSource(source: Connection): Promise<void> {
  say("source: create AdventureWorks");
  const client = new Client({ ...source, database: "postgres" });
  await client.connect();
  try {
    await client.query(`DROP DATABASE IF EXISTS ${database}`);
    await client.query(`CREATE DATABASE ${database}`);
  } finally {
    await client.end();
  }
  await createAdventureWorks(source, { scale: 1 });
}

runMain(main);
