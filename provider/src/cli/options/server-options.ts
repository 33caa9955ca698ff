import { Option, type Command } from "commander";
import { z } from "zod";
import { InvalidInput } from "../../errors.js";
import type { Endpoint, SslMode } from "../../postgres/connection/connect.js";
import { filedPassword } from "./password-file.js";
import { askSecret } from "./prompt.js";
import { findService, requireService, type Service } from "./service-file.js";

/** What flags say about the target and, as az has it, about which server of which group it is. */
export interface TargetFlags {
  readonly host?: string;
  readonly port?: string;
  readonly user?: string;
  readonly sslmode?: string;
  readonly sslrootcert?: string;
  readonly service?: string;
  readonly serverName?: string;
  readonly maintenanceDatabase: string;
}

export interface SourceFlags {
  readonly sourceHost?: string;
  readonly sourcePort?: string;
  readonly sourceUser?: string;
  readonly sourceSslmode?: string;
  readonly sourceSslrootcert?: string;
  readonly sourceService?: string;
}

/** A server without its password. */
export type Server = Omit<Endpoint, "password">;

/** What is known of a server from elsewhere; modes in any spelling. */
export interface KnownServer {
  readonly host?: string | undefined;
  readonly port?: number | undefined;
  readonly user?: string | undefined;
  readonly sslMode?: string | undefined;
  readonly sslRootCert?: string | undefined;
}

/** Flags, a service or the environment, each as libpq's keywords. */
type Settings = Readonly<Partial<Record<"host" | "port" | "user" | "sslmode" | "sslrootcert" | "password", string>>>;

export function addTargetOptions(command: Command): Command {
  return command
    .optionsGroup("The target:")
    .option("-s, --server-name <server>", "a service of pg_service.conf, or the flexible server's name or host name")
    .option("--host <host>", "host name or address (PGHOST)")
    .option("--port <port>", "port (PGPORT)")
    .option("--user <role>", "role that logs in (PGUSER)")
    .option("--sslmode <mode>", "disable, prefer, require, verify-ca, verify-full (PGSSLMODE)")
    .option("--sslrootcert <file>", "certificates to trust (PGSSLROOTCERT)")
    .option("--service <name>", "section of pg_service.conf (PGSERVICE)")
    .option("--maintenance-database <name>", "database that holds the records", "postgres")
    .addOption(new Option("-g, --resource-group <name>", "accepted as az has it").hideHelp())
    .addOption(new Option("--subscription <id>", "accepted as az has it").hideHelp());
}

export function addSourceOptions(command: Command): Command {
  return command
    .optionsGroup("The source:")
    .option("--source-host <host>", "host name or address (PG_MIGRATION_SOURCE_HOST)")
    .option("--source-port <port>", "port (PG_MIGRATION_SOURCE_PORT)")
    .option("--source-user <role>", "role that logs in (PG_MIGRATION_SOURCE_USER)")
    .option("--source-sslmode <mode>", "as --sslmode (PG_MIGRATION_SOURCE_SSLMODE)")
    .option("--source-sslrootcert <file>", "certificates to trust (PG_MIGRATION_SOURCE_SSLROOTCERT)")
    .option("--source-service <name>", "section of pg_service.conf (PG_MIGRATION_SOURCE_SERVICE)");
}

/** The target that flags, a service and the environment name together; flags come first, as with libpq. */
export async function targetOf(flags: TargetFlags): Promise<Endpoint> {
  const named = flags.serverName === undefined ? undefined : namedServer(flags.serverName);
  const serviceName = flags.service ?? (named ? undefined : process.env.PGSERVICE);
  const service = serviceName === undefined ? named : requireService(serviceName, "--service");
  const settings = merge(flags, service, environment("PG"));
  return withPassword(serverOf(settings, "target"), settings.password, {
    database: flags.maintenanceDatabase,
    variable: "PGPASSWORD",
  });
}

/** The source, of which `known` may tell what neither flags nor environment do. */
export async function sourceOf(flags: SourceFlags, known: KnownServer = {}): Promise<Endpoint> {
  const serviceName = flags.sourceService ?? process.env.PG_MIGRATION_SOURCE_SERVICE;
  const service = serviceName === undefined ? undefined : requireService(serviceName, "--source-service");
  const own = {
    host: flags.sourceHost,
    port: flags.sourcePort,
    user: flags.sourceUser,
    sslmode: flags.sourceSslmode,
    sslrootcert: flags.sourceSslrootcert,
  };
  const { host, port, user, sslMode, sslRootCert } = known;
  const recorded = { host, port: port?.toString(), user, sslmode: sslMode, sslrootcert: sslRootCert };
  const settings = merge(own, service, recorded, environment("PG_MIGRATION_SOURCE_"));
  return withPassword(serverOf(settings, "source"), settings.password, {
    database: "*",
    variable: "PG_MIGRATION_SOURCE_PASSWORD",
  });
}

/** A service of that name where there is one, else a host; a bare name is a flexible server's. */
function namedServer(name: string): Service {
  const bare = /^[a-z0-9][a-z0-9-]*$/i.test(name) && name !== "localhost";
  return findService(name) ?? { host: bare ? `${name}.postgres.database.azure.com` : name };
}

const keywords = ["host", "port", "user", "sslmode", "sslrootcert", "password"] as const;

function environment(prefix: string): Settings {
  return Object.fromEntries(keywords.map((keyword) => [keyword, process.env[prefix + keyword.toUpperCase()]]));
}

/** The first that says something about a keyword decides. */
function merge(...sources: readonly (object | undefined)[]): Settings {
  const said = (keyword: string): unknown =>
    sources
      .map((source) => (source as Record<string, unknown> | undefined)?.[keyword])
      .find((value) => value !== undefined && value !== "");
  return Object.fromEntries(keywords.map((keyword) => [keyword, said(keyword)]));
}

const portSchema = z.coerce.number().int().min(1).max(65535).default(5432);

function serverOf(settings: Settings, side: "source" | "target"): Server {
  const prefix = side === "source" ? "--source-" : "--";
  const variable = side === "source" ? "PG_MIGRATION_SOURCE_" : "PG";
  const port = portSchema.safeParse(settings.port);
  const sslMode = sslModeOf(settings.sslmode);
  const failures = [
    ...(settings.host ? [] : [missing(`${prefix}host`, `${variable}HOST`, side)]),
    ...(settings.user ? [] : [missing(`${prefix}user`, `${variable}USER`, side)]),
    ...(port.success ? [] : [{ property: `${prefix}port`, reason: `${settings.port ?? ""} is no port: 1 to 65535` }]),
    ...(sslMode ? [] : [{ property: `${prefix}sslmode`, reason: `${settings.sslmode ?? ""} is none of ${modes}` }]),
  ];
  if (failures.length > 0 || !port.success || !sslMode) throw new InvalidInput(failures);
  const { host, user, sslrootcert } = settings;
  return {
    host: host!,
    port: port.data,
    user: user!,
    sslMode,
    ...(sslrootcert ? { sslRootCert: sslrootcert } : {}),
  };
}

const missing = (flag: string, variable: string, side: string): { property: string; reason: string } => ({
  property: flag,
  reason: `the ${side} is not named; give ${flag}, set ${variable}, or name a service of pg_service.conf`,
});

const modes = "disable, prefer, require, verify-ca, verify-full";

/** libpq's spelling or Azure's, in any case. */
export function sslModeOf(text = "prefer"): SslMode | undefined {
  const known: readonly SslMode[] = ["Disable", "Prefer", "Require", "VerifyCA", "VerifyFull"];
  const plain = text.replace(/-/g, "").toLowerCase();
  if (plain === "allow") return "Prefer";
  return known.find((mode) => mode.toLowerCase() === plain);
}

async function withPassword(
  server: Server,
  given: string | undefined,
  { database, variable }: { database: string; variable: string },
): Promise<Endpoint> {
  const where = `${server.user}@${server.host}:${server.port}`;
  const password = given ?? filedPassword({ ...server, database }) ?? (await askSecret(`Password of ${where}: `)) ?? "";
  if (password !== "") return { ...server, password };
  throw new InvalidInput([
    { property: "password", reason: `none for ${where}; set ${variable}, or add a line to ~/.pgpass` },
  ]);
}
