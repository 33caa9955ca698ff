import { Argument, type Command } from "commander";
import { completionScript, type Shell } from "../help/completion-script.js";

const examples = `
Examples:
  source <(pg-migration completion bash)
  pg-migration completion zsh > ~/.zfunc/_pg-migration
  pg-migration completion fish > ~/.config/fish/completions/pg-migration.fish`;

export function addCompletion(program: Command): void {
  program
    .command("completion")
    .description("print a script that completes this command's words in a shell")
    .addArgument(new Argument("<shell>", "the shell").choices(["bash", "zsh", "fish"]))
    .addHelpText("after", examples)
    .action((shell: Shell) => void process.stdout.write(`${completionScript(shell, program)}\n`));
}
