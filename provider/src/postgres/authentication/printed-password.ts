import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { RefusedError } from "../../errors.js";

const run = promisify(execFile);
const timeoutMs = 60_000;

/**
 * The password that a command prints.
 *
 * @throws RefusedError when the command fails or prints nothing; its output is not repeated, because it may be the
 * secret
 */
export async function printedPassword(command: string): Promise<string> {
  const printed = await output(command);
  if (printed === "") throw failed("it printed nothing");
  return printed;
}

async function output(command: string): Promise<string> {
  const windows = process.platform === "win32";
  const shell = windows ? "cmd.exe" : "/bin/sh";
  const options = windows ? ["/d", "/s", "/c"] : ["-c"];
  try {
    const { stdout } = await run(shell, [...options, command], { timeout: timeoutMs, windowsHide: true });
    return stdout.trim();
  } catch (error) {
    const { code, signal } = error as { code?: unknown; signal?: unknown };
    throw failed(typeof signal === "string" ? `it was terminated by ${signal}` : `exit code ${String(code)}`);
  }
}

const failed = (what: string): RefusedError =>
  new RefusedError(`the command of auth failed: ${what}`, {
    remedy: "run it manually as the worker's operating-system user: it must print only the password on standard output",
    code: "PGM-105",
  });
