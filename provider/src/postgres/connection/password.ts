import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { RefusedError } from "../../errors.js";
import type { Endpoint } from "./endpoint.js";

const run = promisify(execFile);
const timeoutMs = 60_000;

/**
 * The password to log in with now. A command is run each time, since what it prints may be valid for an hour only.
 *
 * @throws RefusedError when the command fails or prints nothing; what it printed is not repeated, for it may be the secret
 */
export async function passwordOf({ password, passwordCommand }: Endpoint): Promise<string> {
  if (passwordCommand === undefined) return password ?? "";
  const printed = await output(passwordCommand);
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
    throw failed(typeof signal === "string" ? `it was ended by ${signal}` : `exit code ${String(code)}`);
  }
}

const failed = (what: string): RefusedError =>
  new RefusedError(`the passwordCommand has failed: ${what}`, {
    remedy:
      "run it by hand as the user that the worker runs as; it has to print the password, and nothing else, on standard output",
    code: "603100",
  });
