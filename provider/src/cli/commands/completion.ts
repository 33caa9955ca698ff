import { Argument, type Command } from "commander";
import { writeOutput } from "../output/terminal.js";
import { completionScript, type Shell } from "../help/completion-script.js";

const examples = `
Examples:
  source <(pg-migration completion bash)
  pg-migration completion zsh > ~/.zfunc/_pg-migration
  pg-migration completion fish > ~/.config/fish/completions/pg-migration.fish`;

export function addCompletion(program: Command): void {
  program
    .command("completion")
    .description("print a completion script for a shell")
    .addArgument(new Argument("<shell>", "name of the shell").choices(["bash", "zsh", "fish"]))
    .addHelpText("after", examples)
    .action((shell: Shell) => writeOutput(completionScript(shell, program)));
}
