import type { Command } from "commander";

export type Shell = "bash" | "zsh" | "fish";

/** A script that completes commands and flags, generated from the program. */
export function completionScript(shell: Shell, program: Command): string {
  const commands = program.commands.map((command) => ({
    name: command.name(),
    description: firstLine(command.description()),
    flags: command.options
      .filter(({ hidden }) => !hidden)
      .map((option) => ({
        long: option.long ?? "",
        description: firstLine(option.description),
        takesValue: option.required || option.optional,
        choices: option.argChoices ?? [],
      })),
  }));
  if (shell === "fish") return fish(commands);
  return shell === "zsh" ? zsh(commands) : bash(commands);
}

interface CompletedCommand {
  readonly name: string;
  readonly description: string;
  readonly flags: readonly {
    readonly long: string;
    readonly description: string;
    readonly takesValue: boolean;
    readonly choices: readonly string[];
  }[];
}

const firstLine = (text: string): string => text.split("\n")[0]!.replace(/['"`\\$[\]:]/g, "");

function bash(commands: readonly CompletedCommand[]): string {
  const cases = commands.map(({ name, flags }) => `    ${name}) words="${flags.map(({ long }) => long).join(" ")}" ;;`);
  return [
    "_pg_migration() {",
    '  local current="${COMP_WORDS[COMP_CWORD]}" words',
    '  case "${COMP_WORDS[1]}" in',
    ...cases,
    `    *) words="${commands.map(({ name }) => name).join(" ")}" ;;`,
    "  esac",
    `  if [ "$COMP_CWORD" -eq 1 ]; then words="${commands.map(({ name }) => name).join(" ")}"; fi`,
    '  COMPREPLY=($(compgen -W "$words" -- "$current"))',
    "}",
    "complete -o default -F _pg_migration pg-migration",
  ].join("\n");
}

function zsh(commands: readonly CompletedCommand[]): string {
  const cases = commands.map(({ name, flags }) => {
    const specs = flags.map(({ long, description, takesValue, choices }) => {
      const value = takesValue ? `:value:${choices.length > 0 ? `(${choices.join(" ")})` : "_files"}` : "";
      return `'${long}[${description}]${value}'`;
    });
    return `    ${name}) _arguments ${specs.join(" ")} ;;`;
  });
  return [
    "#compdef pg-migration",
    "_pg_migration() {",
    `  local -a commands=(${commands.map(({ name, description }) => `'${name}:${description}'`).join(" ")})`,
    "  if (( CURRENT == 2 )); then _describe command commands; return; fi",
    "  local command=$words[2]",
    "  shift words; (( CURRENT-- ))",
    "  case $command in",
    ...cases,
    "  esac",
    "}",
    "compdef _pg_migration pg-migration",
  ].join("\n");
}

function fish(commands: readonly CompletedCommand[]): string {
  const begin = "complete -c pg-migration";
  return commands
    .flatMap(({ name, description, flags }) => [
      `${begin} -f -n __fish_use_subcommand -a ${name} -d '${description}'`,
      ...flags.map(({ long, description: what, takesValue, choices }) => {
        const value = takesValue ? (choices.length > 0 ? ` -x -a '${choices.join(" ")}'` : " -r") : "";
        return `${begin} -n '__fish_seen_subcommand_from ${name}' -l ${long.replace(/^--/, "")}${value} -d '${what}'`;
      }),
    ])
    .join("\n");
}
