import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Lab } from "../support/lab";

export const commandPath = join(__dirname, "../../provider/bin/pg-migration.js");

export interface Answer {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `pg-migration` as a shell would, with an environment that contains only the servers of one lab. */
export class CommandLine {
  private constructor(
    readonly directory: string,
    readonly environment: Readonly<Record<string, string>>,
  ) {}

  /** Servers come from the environment; `prod` is the target and `old` the source in pg_service.conf. */
  static async in(lab: Lab): Promise<CommandLine> {
    const directory = await mkdtemp(join(tmpdir(), "pg-migration-command-"));
    const { administrator, source } = lab;
    const section = (name: string, { host, port, user }: typeof administrator): string =>
      `[${name}]\nhost=${host}\nport=${port}\nuser=${user}\n`;
    await writeFile(
      join(directory, ".pg_service.conf"),
      ["testserver", "prod"].map((name) => section(name, administrator)).join("") + section("old", source.login),
    );
    return new CommandLine(directory, {
      PATH: process.env.PATH ?? "",
      HOME: directory,
      PGHOST: administrator.host,
      PGPORT: String(administrator.port),
      PGUSER: administrator.user,
      PGPASSWORD: administrator.password,
      PG_MIGRATION_SOURCE_HOST: source.login.host,
      PG_MIGRATION_SOURCE_PORT: String(source.port),
      PG_MIGRATION_SOURCE_USER: source.login.user,
      PG_MIGRATION_SOURCE_PASSWORD: source.login.password,
    });
  }

  async close(): Promise<void> {
    await rm(this.directory, { recursive: true, force: true });
  }

  async file(name: string, text: string, mode = 0o600): Promise<string> {
    const path = join(this.directory, name);
    await writeFile(path, text, { mode });
    return path;
  }

  /** @param onOutput receives the output while the command runs */
  run(
    args: readonly string[],
    changes: Readonly<Record<string, string | undefined>> = {},
    onOutput?: (text: string) => void,
  ): Promise<Answer> {
    const child = spawn(process.execPath, [commandPath, ...args], {
      cwd: this.directory,
      env: { ...this.environment, ...changes },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
      onOutput?.(text);
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
    return new Promise((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (code) => {
        // Every command, in every test: Node.js prints deprecation warnings there.
        const warning = /^\(node:\d+\).*/m.exec(stderr);
        if (warning) reject(new Error(`pg-migration ${args.join(" ")} printed a warning of Node.js: ${warning[0]}`));
        else resolve({ code, stdout, stderr });
      });
    });
  }

  /** Runs a command that must succeed. Returns the JSON that it prints. */
  async json<T>(args: readonly string[], changes: Readonly<Record<string, string | undefined>> = {}): Promise<T> {
    const { code, stdout, stderr } = await this.run(args, changes);
    if (code !== 0) throw new Error(`pg-migration ${args.join(" ")} ended with ${String(code)}:\n${stdout}\n${stderr}`);
    return JSON.parse(stdout) as T;
  }
}
