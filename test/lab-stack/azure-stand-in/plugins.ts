import { mkdir, writeFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import type { ProviderLauncher } from "../../../tools/pulumi-host/processes/provider-process";

/**
 * Writes the programs `pulumi-resource-<package>`, by which the Pulumi CLI finds providers on PATH.
 *
 * @returns an environment with the programs at the start of PATH
 */
export async function writePlugins(
  directory: string,
  launchers: Readonly<Record<string, ProviderLauncher>>,
): Promise<Readonly<Record<string, string>>> {
  await mkdir(directory);
  for (const [name, { command, arguments: given = [], environment = {} }] of Object.entries(launchers)) {
    const assignments = Object.entries(environment).map(([key, value]) => `export ${key}=${quote(value)}`);
    const script = ["#!/bin/sh", ...assignments, `exec ${[command, ...given].map(quote).join(" ")} "$@"`, ""];
    await writeFile(join(directory, `pulumi-resource-${name}`), script.join("\n"), { mode: 0o755 });
  }
  return { PATH: [directory, process.env.PATH ?? ""].join(delimiter) };
}

const quote = (text: string): string => `'${text.replaceAll("'", String.raw`'\''`)}'`;
