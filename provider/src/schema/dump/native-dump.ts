import { execFile } from "node:child_process";
import { access, constants, mkdtemp, readdir, realpath, rm, writeFile } from "node:fs/promises";
import { devNull, tmpdir } from "node:os";
import { basename, delimiter, join } from "node:path";
import { rootCertificates } from "node:tls";
import { promisify } from "node:util";
import { cancellation } from "../../copy/cancellation.js";
import { RefusedError, messageOf } from "../../errors.js";
import { applicationName } from "../../postgres/connection/connect.js";
import { checksServerName, type Endpoint, type SslMode } from "../../postgres/connection/endpoint.js";
import { passwordOf } from "../../postgres/authentication/password.js";
import { dumpFailure } from "./dump-failure.js";
import { type DumpOptions, dumpArguments, dumpPurpose } from "./dump-options.js";

export interface NativeTool {
  readonly path: string;
  readonly major: number;
}

const run = promisify(execFile);

/** Far larger than any schema: a schema-only dump of 5,000 tables has about 30 MB. */
const outputLimitBytes = 1 << 30;

const sslModes: Readonly<Record<SslMode, string>> = {
  Disable: "disable",
  Prefer: "prefer",
  Require: "require",
  VerifyCA: "verify-ca",
  VerifyFull: "verify-full",
};

/**
 * Finds the newest pg_dump on this machine that supports the server's major version. If `PG_DUMP` is set, it is the
 * only candidate.
 */
export async function findNativeTool(serverMajor: number): Promise<NativeTool | undefined> {
  const tools = await Promise.all(
    (await candidates()).map(async (path): Promise<NativeTool[]> => {
      const major = await majorOf(path);
      return major !== undefined && major >= Math.floor(serverMajor) ? [{ path, major }] : [];
    }),
  );
  return tools.flat().sort((left, right) => right.major - left.major)[0];
}

async function candidates(): Promise<string[]> {
  const { PG_DUMP, PATH } = process.env;
  if (PG_DUMP) return [PG_DUMP];
  const name = process.platform === "win32" ? "pg_dump.exe" : "pg_dump";
  const folders = (PATH ?? "").split(delimiter).filter((folder) => folder !== "");
  const paths = [...folders, ...(await packagedFolders())].map((folder) => join(folder, name));
  const areWrappers = await Promise.all(paths.map(isWrapper));
  return paths.filter((_path, i) => !areWrappers[i]);
}

/**
 * Debian's `/usr/bin/pg_dump` leads to a Perl program, which takes longer to start than pg_dump. It only starts programs in
 * `/usr/lib/postgresql`, which are candidates themselves.
 */
async function isWrapper(path: string): Promise<boolean> {
  const program = await realpath(path).catch(() => path);
  return basename(program) === "pg_wrapper";
}

/** Folders of the Debian and PGDG packages, Homebrew and the Windows installer. */
async function packagedFolders(): Promise<string[]> {
  const roots = ["/usr/lib/postgresql", "/opt/homebrew/opt", "/usr/local/opt", "C:\\Program Files\\PostgreSQL"];
  const found = await Promise.all(
    roots.map(async (root) => {
      const names = await readdir(root).catch(() => [] as string[]);
      return names.filter((name) => /^(\d+|postgresql@\d+|libpq)$/.test(name)).map((name) => join(root, name, "bin"));
    }),
  );
  return found.flat();
}

async function majorOf(path: string): Promise<number | undefined> {
  try {
    // Most folders of PATH contain no pg_dump, and starting a process that does not exist is expensive.
    await access(path, constants.X_OK);
    const { stdout } = await run(path, ["--version"], { timeout: 10_000 });
    const version = /(\d+)(?:\.\d+|devel|beta|rc)/.exec(stdout)?.[1];
    return version === undefined ? undefined : Number(version);
  } catch {
    // The file does not exist or is not executable.
    return undefined;
  }
}

/**
 * Runs a native pg_dump with an empty home folder, so that no file of the user changes its behaviour. The password is
 * in its environment, which only this user can read. A file would remain if this process were killed.
 */
export async function dumpNatively(
  tool: NativeTool,
  source: Endpoint,
  database: string,
  options: DumpOptions,
): Promise<string> {
  const certificates = await certificatesOf(source);
  try {
    const env = { ...environment(source, database), ...certificates.env, PGPASSWORD: await passwordOf(source) };
    const { stdout } = await run(tool.path, [...dumpArguments(options), `--dbname=${lineOptions(tool)}`], {
      env,
      cwd: tmpdir(),
      encoding: "buffer",
      maxBuffer: outputLimitBytes,
      ...(options.signal ? { signal: options.signal } : {}),
    });
    return utf8(stdout, database);
  } catch (error) {
    if (error instanceof RefusedError) throw error;
    if (options.signal?.aborted) throw cancellation(`the dump of ${database}`, options.signal);
    throw dumpFailure(database, complaint(error), error);
  } finally {
    if (certificates.folder !== undefined) await rm(certificates.folder, { recursive: true, force: true });
  }
}

/**
 * A dead connection fails after a minute instead of hours. These options are in a connection string, because libpq has
 * no variables for them. The database's name is not in it, because libpq would parse the name as a connection string.
 * The limit for unacknowledged data exists from libpq 12 on.
 */
const lineOptions = ({ major }: NativeTool): string =>
  `keepalives_idle=30 keepalives_interval=10 keepalives_count=3${major < 12 ? "" : " tcp_user_timeout=60000"}`;

/** The server then releases the locks of a dump whose machine has failed. */
const serverOptions = [
  ...["role=none", "standard_conforming_strings=on", "quote_all_identifiers=off"],
  ...["tcp_keepalives_idle=30", "tcp_keepalives_interval=10", "tcp_keepalives_count=3"],
].map((setting) => `-c ${setting}`);

/**
 * Only variables that pg_dump needs. The database's name is a variable, because as an argument it could be an option,
 * and no variable of the user can change the result.
 */
function environment(source: Endpoint, database: string): NodeJS.ProcessEnv {
  return {
    ...(process.env.SYSTEMROOT === undefined ? {} : { SYSTEMROOT: process.env.SYSTEMROOT }),
    PATH: process.env.PATH,
    HOME: devNull,
    APPDATA: devNull,
    LC_ALL: "C",
    PGAPPNAME: applicationName(dumpPurpose),
    PGCONNECT_TIMEOUT: "15",
    PGDATABASE: database,
    PGHOST: source.host,
    PGOPTIONS: serverOptions.join(" "),
    PGPORT: String(source.port),
    PGSSLMODE: checksServerName(source) ? sslModes.VerifyFull : sslModes[source.sslMode],
    PGUSER: source.user,
  };
}

interface Certificates {
  readonly env: NodeJS.ProcessEnv;
  /** Temporary folder for the certificate, which is not secret. */
  readonly folder?: string;
}

/**
 * libpq reads root certificates only from files. Without a file it cannot verify, while this process uses Node's
 * authorities.
 */
async function certificatesOf({ sslMode, sslRootCert }: Endpoint): Promise<Certificates> {
  // With a root certificate, libpq verifies the chain with `prefer` as well, and connects without TLS if that fails.
  if (sslMode === "Disable" || sslMode === "Prefer") return { env: {} };
  if (sslMode === "Require" && sslRootCert === undefined) return { env: {} };
  if (sslRootCert !== undefined && !sslRootCert.includes("-----BEGIN CERTIFICATE-----"))
    return { env: { PGSSLROOTCERT: sslRootCert } };
  const folder = await mkdtemp(join(tmpdir(), "pg-migration-dump-"));
  const file = join(folder, "root.crt");
  await writeFile(file, sslRootCert ?? rootCertificates.join("\n"), { mode: 0o600 });
  return { env: { PGSSLROOTCERT: file }, folder };
}

function utf8(bytes: Buffer, database: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new RefusedError(`names or texts in the schema of ${database} are not valid UTF-8`, {
      remedy: "an SQL_ASCII database may contain bytes of any encoding: rename or correct them on the source",
      cause,
    });
  }
}

/** Removes the progress log from pg_dump's error output. */
function complaint(error: unknown): string {
  const { stderr } = error as { stderr?: Buffer };
  const lines = (stderr?.toString("utf8") ?? "").split("\n");
  const first = lines.findIndex((line) => /^pg_dump: (error|fatal|\[)|: error: /.test(line));
  return first < 0 ? messageOf(error) : lines.slice(first).join("\n").trim();
}
