import { spawn, spawnSync, type StdioOptions } from "node:child_process";
import { RefusedError } from "../../errors.js";

/** A stack whose passwords are stored. */
export interface StackSecrets {
  readonly directory: string;
  readonly stack: string;
  readonly passwords: Readonly<Record<string, string>>;
}

export const isPulumiInstalled = (): boolean => spawnSync("pulumi", ["version"], { stdio: "ignore" }).status === 0;

/** Creates the stack, and stores its passwords encrypted. The Pulumi CLI reads each from standard input, not from its arguments. */
export async function storeSecrets({ directory, stack, passwords }: StackSecrets): Promise<void> {
  await runPulumi(directory, ["stack", "select", "--create", "--stack", stack]);
  for (const [key, password] of Object.entries(passwords))
    await runPulumi(directory, ["config", "set", "--secret", "--stack", stack, key], password);
}

/** The commands that do the same. They ask for the passwords. */
export const secretCommands = (stack: string): readonly string[] => [
  `pulumi stack select --create --stack ${stack}`,
  `pulumi config set --secret --stack ${stack} sourcePassword`,
  `pulumi config set --secret --stack ${stack} targetPassword`,
];

async function runPulumi(cwd: string, args: readonly string[], input?: string): Promise<void> {
  // What Pulumi prints is not the answer of this command.
  const stdio: StdioOptions = [input === undefined ? "inherit" : "pipe", 2, 2];
  const child = spawn("pulumi", args, { cwd, stdio });
  const ended = new Promise<string | undefined>((resolve) => {
    child.once("error", ({ message }) => resolve(message));
    child.once("close", (code) => resolve(code === 0 ? undefined : `it ended with ${String(code)}`));
  });
  // A command that ends without reading is reported by its code.
  child.stdin?.on("error", () => undefined).end(input);
  const failure = await ended;
  if (failure === undefined) return;
  const remedy = "the project is complete: correct the cause, then run the remaining commands of its README.md";
  throw new RefusedError(`pulumi ${args.join(" ")} failed: ${failure}`, { remedy });
}
