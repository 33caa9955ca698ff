import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

/** The path of the Pulumi CLI, or undefined if it is not on PATH. */
export function findPulumi(path = process.env.PATH ?? ""): string | undefined {
  const name = process.platform === "win32" ? "pulumi.exe" : "pulumi";
  return path
    .split(delimiter)
    .filter((directory) => directory !== "")
    .map((directory) => join(directory, name))
    .find(isExecutable);
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
