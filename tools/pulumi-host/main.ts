import { resolve } from "node:path";
import { text } from "node:stream/consumers";
import { parseArgs } from "node:util";
import { Deployment } from "./engine/deployment";
import { Display, summaryText } from "./display";
import type { OperationResult } from "./host";

const notice = "A stand-in for the Pulumi CLI, for trying and testing only: use the Pulumi CLI for real deployments.\n";

const usage = `${notice}
usage: npx tsx tools/pulumi-host/main.ts <command> [--cwd <directory>] [--stack <name>] [--state-file <file>]

  preview                            show what up would do
  up [--refresh]                     bring the stack to what the program wants
  refresh                            bring the state to what really is
  destroy                            delete everything in the stack
  output [--show-secrets] [name]     show the stack's outputs
  config set [--secret] key [value]  keep a value in Pulumi.<stack>.yaml; without a value it is read from standard input

The state is kept in .pulumi-host beside Pulumi.yaml, with its secrets encrypted by PULUMI_CONFIG_PASSPHRASE or the
content of PULUMI_CONFIG_PASSPHRASE_FILE. Where neither is set, a passphrase is generated and kept beside the state.
`;

class UsageError extends Error {
  override readonly name = "UsageError";
}

function parse(argv: string[]) {
  try {
    return parseArgs({
      args: argv,
      allowPositionals: true,
      options: {
        cwd: { type: "string", default: "." },
        stack: { type: "string", default: "dev" },
        "state-file": { type: "string" },
        refresh: { type: "boolean", default: false },
        secret: { type: "boolean", default: false },
        "show-secrets": { type: "boolean", default: false },
        help: { type: "boolean", default: false },
      },
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

type Arguments = ReturnType<typeof parse>;

async function main(argv: string[]): Promise<number> {
  const { values, positionals } = parse(argv);
  const [command] = positionals;
  if (values.help || command === undefined) {
    process.stdout.write(usage);
    return values.help ? 0 : 1;
  }
  process.stderr.write(notice);
  const display = new Display(process.stdout);
  const deployment = new Deployment({
    programDirectory: resolve(values.cwd),
    stack: values.stack,
    onEvent: (event) => display.show(event),
    ...(values["state-file"] !== undefined && { stateFile: resolve(values["state-file"]) }),
  });
  if (command === "config") return configure(deployment, positionals, values);
  if (command === "output") return showOutputs(deployment, positionals[1], values["show-secrets"]);
  return operate(deployment, display, command, values);
}

async function configure(deployment: Deployment, positionals: string[], values: Arguments["values"]): Promise<number> {
  const [, verb, key, given] = positionals;
  if (verb !== "set" || key === undefined) throw new UsageError("config set needs a key");
  const value = given ?? (await text(process.stdin)).replace(/\r?\n$/, "");
  deployment.setConfiguration(key, value, values.secret);
  return 0;
}

async function showOutputs(deployment: Deployment, name: string | undefined, showSecrets: boolean): Promise<number> {
  const outputs = await deployment.outputs({ showSecrets });
  if (name !== undefined && !(name in outputs)) throw new UsageError(`the stack has no output ${name}`);
  const shown = name === undefined ? outputs : outputs[name];
  process.stdout.write(typeof shown === "string" ? `${shown}\n` : `${JSON.stringify(shown, undefined, 2)}\n`);
  return 0;
}

async function operate(
  deployment: Deployment,
  display: Display,
  command: string,
  values: Arguments["values"],
): Promise<number> {
  const operations: Readonly<Record<string, () => Promise<OperationResult>>> = {
    preview: () => deployment.preview(),
    up: () => deployment.up({ refresh: values.refresh }),
    refresh: () => deployment.refresh(),
    destroy: () => deployment.destroy(),
  };
  const operation = operations[command];
  if (!operation) throw new UsageError(`there is no command ${command}`);
  const stopListening = cancelOnInterrupt(deployment);
  try {
    const result = await operation();
    display.close();
    process.stdout.write(summaryText(result));
    return result.ok ? 0 : 1;
  } finally {
    display.close();
    stopListening();
  }
}

function cancelOnInterrupt(deployment: Deployment): () => void {
  let interrupts = 0;
  const onInterrupt = () => {
    interrupts += 1;
    if (interrupts > 1) {
      deployment.terminate();
      return;
    }
    process.stderr.write("Cancelling after the running step; interrupt again to break it off.\n");
    void deployment.cancel();
  };
  process.on("SIGINT", onInterrupt);
  process.on("SIGTERM", onInterrupt);
  return () => {
    process.off("SIGINT", onInterrupt);
    process.off("SIGTERM", onInterrupt);
  };
}

main(process.argv.slice(2)).then(
  (exitCode) => (process.exitCode = exitCode),
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    if (error instanceof UsageError) process.stderr.write(`\n${usage}`);
    process.exitCode = 1;
  },
);
