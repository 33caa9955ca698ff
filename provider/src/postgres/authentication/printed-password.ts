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

const variable = "PG_MIGRATION_PASSWORD_COMMAND";

/**
 * The shell reads the command from its environment, because every user of the machine can read arguments. The command may
 * contain a secret.
 */
const shellOf = (command: string): Shell =>
  process.platform === "win32"
    ? { file: "cmd.exe", args: ["/d", "/s", "/c", command] }
    : {
        file: "/bin/sh",
        args: ["-c", `command=$${variable}; unset ${variable}; eval "$command"`],
        env: { ...process.env, [variable]: command },
      };

interface Shell {
  readonly file: string;
  readonly args: string[];
  readonly env?: NodeJS.ProcessEnv;
}

async function output(command: string): Promise<string> {
  const { file, args, env } = shellOf(command);
  try {
    const { stdout } = await run(file, args, { env, timeout: timeoutMs, windowsHide: true });
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
