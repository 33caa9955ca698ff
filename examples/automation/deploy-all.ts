import { readFileSync } from "node:fs";
import { type ConfigMap, LocalWorkspace } from "@pulumi/pulumi/automation";

/** One server to migrate: the stack has its name. Passwords come from the environment. */
export interface Server {
  readonly name: string;
  readonly sourceHost: string;
  readonly targetHost: string;
  readonly dbsToMigrate?: readonly string[];
}

/** What this program needs of a stack. */
export interface ServerStack {
  /** Rejects if the operation fails. */
  up(): Promise<unknown>;
}

/**
 * Deploys one stack per server, `concurrency` at a time. Each stack has its own state and lock, so a failure concerns one server.
 *
 * @returns the reasons of the failures by the names of the servers
 */
export async function deployAll(
  servers: readonly Server[],
  openStack: (server: Server) => Promise<ServerStack>,
  concurrency = 8,
): Promise<ReadonlyMap<string, string>> {
  const failures = new Map<string, string>();
  const waiting = servers.values();
  const deployNext = async (): Promise<void> => {
    for (const server of waiting)
      try {
        await (await openStack(server)).up();
      } catch (error) {
        failures.set(server.name, error instanceof Error ? error.message : String(error));
      }
  };
  await Promise.all(Array.from({ length: concurrency }, deployNext));
  return failures;
}

/** The configuration of a server's stack. */
export function configOf({ sourceHost, targetHost, dbsToMigrate }: Server, environment: NodeJS.ProcessEnv): ConfigMap {
  const secret = (name: string): { value: string; secret: true } => {
    const value = environment[name];
    if (value === undefined) throw new Error(`set the variable ${name}`);
    return { value, secret: true };
  };
  return {
    sourceHost: { value: sourceHost },
    sourceUser: { value: environment.SOURCE_USER ?? "postgres" },
    sourcePassword: secret("SOURCE_PASSWORD"),
    targetHost: { value: targetHost },
    targetUser: { value: environment.TARGET_USER ?? "azureadmin" },
    targetPassword: secret("TARGET_PASSWORD"),
    ...(dbsToMigrate && { dbsToMigrate: { value: JSON.stringify(dbsToMigrate) } }),
  };
}

/** Opens the server's stack with the Pulumi CLI, which has to be on PATH. */
async function openStack(server: Server): Promise<ServerStack> {
  const stack = await LocalWorkspace.createOrSelectStack({ stackName: server.name, workDir: __dirname });
  await stack.setAllConfig(configOf(server, process.env));
  const onOutput = (text: string): void => void process.stdout.write(text.replace(/^(?=.)/gm, `${server.name}: `));
  return { up: () => stack.up({ onOutput }) };
}

// npx tsx deploy-all.ts servers.json
const [, program = "", list] = process.argv;
if (/deploy-all\.[jt]s$/.test(program) && list !== undefined) {
  const servers = JSON.parse(readFileSync(list, "utf8")) as Server[];
  void deployAll(servers, openStack).then((failures) => {
    console.log(`${servers.length - failures.size} of ${servers.length} servers are deployed`);
    for (const [name, reason] of failures) console.error(`${name}: ${reason}`);
    process.exitCode = failures.size > 0 ? 1 : 0;
  });
}
