import { basename, resolve } from "node:path";
import type { Command } from "commander";
import { InvalidInputError } from "../../errors.js";
import { addDatabasesOption, addModeOptions } from "../options/migration-inputs.js";
import { ask } from "../options/prompt.js";
import { addSourceOptions, addTargetOptions, resolveTarget } from "../options/server-options.js";
import { writeMessage, writeOutput } from "../output/terminal.js";
import { mayAsk, readAnswers, type AnswerFlags, type Answers } from "./answers.js";
import { shellWord } from "../../units/shell-word.js";
import { isPulumiInstalled, secretCommands, storeSecrets } from "./pulumi-cli.js";
import { projectFiles } from "./template.js";
import { requireEmpty, writeProject } from "./write-project.js";

interface Flags extends AnswerFlags {
  readonly project?: string;
  readonly stack: string;
  readonly setSecrets?: boolean;
}

const examples = `
Examples:
  pg-migration init crm-migration
  pg-migration init crm-migration --yes --source-service old --service prod \\
    --databases 'app_*' crm --migration-mode online

Reads the source's databases and settings, and changes nothing there. Asks for
what is missing; with --yes or without a terminal, that is an error. Writes no
password: the program reads both from Pulumi's encrypted configuration.`;

export function addInit(program: Command): void {
  const command = program
    .command("init")
    .description("write a Pulumi project for a migration")
    .argument("[directory]", "empty or new directory", ".")
    .option("-y, --yes", "use options and defaults; ask only for passwords")
    .option("--project <name>", "name of the project (default: the directory's)")
    .option("--stack <name>", "name of the stack", "dev")
    .option("--set-secrets", "store both passwords with the command pulumi");
  addSourceOptions(addTargetOptions(addDatabasesOption(addModeOptions(command))));
  command.addHelpText("after", examples).action(init);
}

async function init(directory: string, flags: Flags): Promise<void> {
  const names = namesOf(directory, flags);
  await requireEmpty(directory);
  const answers = await readAnswers(flags);
  const passwords = (await storesSecrets(flags)) ? await passwordsOf(answers) : undefined;
  await writeProject(directory, await projectFiles({ ...names, ...answers }));
  writeMessage(`written: ${resolve(directory)}`);
  if (passwords) await storeSecrets({ directory, stack: names.stack, passwords });
  writeOutput(nextSteps(directory, passwords ? [] : secretCommands(names.stack)));
}

/** Pulumi's rule for names, starting with a letter. */
const namePattern = /^[A-Za-z][\w.-]{0,99}$/;

function namesOf(directory: string, { project, stack }: Flags): { readonly name: string; readonly stack: string } {
  const own = basename(resolve(directory));
  const name = project ?? (namePattern.test(own) ? own : "pg-migration");
  const failures = Object.entries({ "--project": name, "--stack": stack })
    .filter(([, value]) => !namePattern.test(value))
    .map(([property]) => ({
      property,
      reason: "use letters, digits, hyphens, underscores and periods, starting with a letter, at most 100",
    }));
  if (failures.length > 0) throw new InvalidInputError(failures);
  return { name, stack };
}

async function storesSecrets(flags: Flags): Promise<boolean> {
  if (flags.setSecrets) {
    if (isPulumiInstalled()) return true;
    throw new InvalidInputError([{ property: "--set-secrets", reason: "there is no command pulumi on PATH" }]);
  }
  if (!mayAsk(flags) || !isPulumiInstalled()) return false;
  const text = "Create the stack and store both passwords with pulumi now? yes or no";
  return /^y(es)?$/i.test(await ask({ text, fallback: "no" }));
}

async function passwordsOf({ source, targetFlags }: Answers): Promise<Readonly<Record<string, string>>> {
  const target = await resolveTarget(targetFlags);
  return { sourcePassword: source.password!, targetPassword: target.password! };
}

function nextSteps(directory: string, secrets: readonly string[]): string {
  const move = resolve(directory) === process.cwd() ? [] : [`cd ${shellWord(directory)}`];
  return [...move, "npm install", ...secrets, "pulumi up"].join("\n");
}
