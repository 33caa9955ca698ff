import { Option } from "commander";

/** The option for further Host names that a server accepts. The variable has names with commas between them. */
export const allowedHostOption = (description: string): Option =>
  new Option("--allowed-host <name...>", description)
    .env("PG_MIGRATION_ALLOWED_HOSTS")
    .argParser((names: string, earlier: readonly string[] | undefined) => [
      ...(earlier ?? []),
      ...names
        .split(",")
        .map((name) => name.trim())
        .filter((name) => name !== ""),
    ]);
