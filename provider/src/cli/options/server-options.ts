import { accessSync, constants } from "node:fs";
import { Option, type Command } from "commander";
import { z } from "zod";
import { InvalidInputError, messageOf } from "../../errors.js";
import type { Authentication } from "../../postgres/authentication/authentication.js";
import type { Endpoint, SslMode } from "../../postgres/connection/endpoint.js";
import { usualMaintenanceDatabase } from "../../inputs/maintenance-database.js";
import { defaultSslMode, parseResourceId } from "../../inputs/resolve-servers.js";
import type { SourceType } from "../../inputs/inputs.js";
import { authenticationSchema } from "../../inputs/authentication.js";
import { hostSchema, usualSslMode } from "../../inputs/server.js";
import { refuseDemands } from "./libpq-demands.js";
import { passwordFromFile } from "./password-file.js";
import { promptSecret } from "./prompt.js";
import { findService, requireService, type Service } from "./service-file.js";

/** Flags of the target: a PostgreSQL server or, as in az, the name of a flexible server. */
export interface TargetFlags {
  readonly host?: string;
  readonly port?: string;
  readonly user?: string;
  readonly sslmode?: string;
  readonly sslrootcert?: string;
  readonly auth?: string;
  readonly service?: string;
  readonly serverName?: string;
  readonly maintenanceDatabase?: string;
}

export interface SourceFlags {
  readonly sourceHost?: string;
  readonly sourcePort?: string;
  readonly sourceUser?: string;
  readonly sourceSslmode?: string;
  readonly sourceSslrootcert?: string;
  readonly sourceAuth?: string;
  readonly sourceService?: string;
}

/** A server without its password. */
export type Server = Omit<Endpoint, "password">;

/** A server as recorded or as in a properties file. */
export interface KnownServer {
  readonly host?: string | undefined;
  readonly port?: number | undefined;
  readonly user?: string | undefined;
  readonly sslMode?: string | undefined;
  readonly sslRootCert?: string | undefined;
  /** Used if neither the environment nor a service has a password. */
  readonly auth?: Authentication | undefined;
  /** Determines the mode if nothing else sets one. */
  readonly sourceType?: SourceType | undefined;
}

/** Flags, a service or the environment, each as libpq's keywords. */
type Settings = Readonly<Partial<Record<"host" | "port" | "user" | "sslmode" | "sslrootcert" | "password", string>>>;

export function addTargetOptions(command: Command): Command {
  return command
    .optionsGroup("The target:")
    .option("-s, --server-name <server>", "service, flexible server (or its resource ID), or host")
    .option("--host <host>", "host name or address (PGHOST)")
    .option("--port <port>", "port (PGPORT)")
    .option("--user <role>", "role to log in as (PGUSER)")
    .option("--sslmode <mode>", "disable, prefer, require, verify-ca, verify-full (PGSSLMODE)")
    .option("--sslrootcert <file>", "file of trusted certificates (PGSSLROOTCERT)")
    .option("--auth <kind>", "entra, rdsIam, cloudSqlIam or JSON (PG_MIGRATION_AUTH)")
    .option("--service <name>", "section of pg_service.conf (PGSERVICE)")
    .option("--maintenance-database <name>", "database that contains the records")
    .addOption(new Option("-g, --resource-group <name>", "accepted as in az, and only shown").hideHelp())
    .addOption(new Option("--subscription <id>", "accepted as in az, and only shown").hideHelp());
}

export function addSourceOptions(command: Command): Command {
  return command
    .optionsGroup("The source:")
    .option("--source-host <host>", "host name or address (PG_MIGRATION_SOURCE_HOST)")
    .option("--source-port <port>", "port (PG_MIGRATION_SOURCE_PORT)")
    .option("--source-user <role>", "role to log in as (PG_MIGRATION_SOURCE_USER)")
    .option("--source-sslmode <mode>", "as --sslmode (PG_MIGRATION_SOURCE_SSLMODE)")
    .option("--source-sslrootcert <file>", "trusted certificates (PG_MIGRATION_SOURCE_SSLROOTCERT)")
    .option("--source-auth <kind>", "as --auth (PG_MIGRATION_SOURCE_AUTH)")
    .option("--source-service <name>", "pg_service.conf section (PG_MIGRATION_SOURCE_SERVICE)");
}

/**
 * The target from flags, a service and the environment, in this order of precedence, as in libpq.
 *
 * @param known from the properties file
 */
export async function resolveTarget(flags: TargetFlags, known: KnownTarget = {}): Promise<Endpoint> {
  const { server, auth, password } = targetServer(flags, known);
  if (auth && known.password === undefined) return { ...server, auth };
  return withPassword(server, known.password ?? password, {
    canPrompt: !known.isListed,
    database: flags.maintenanceDatabase ?? usualMaintenanceDatabase,
    variable: "PGPASSWORD",
    auth: known.auth,
  });
}

/** What is known of the target beside flags, services and the environment. */
interface KnownTarget {
  readonly auth?: Authentication | undefined;
  readonly defaultSslMode?: string | undefined;
  /** Has priority over a service and the environment. */
  readonly password?: string | undefined;
  /** One of many: no user answers a prompt for each, and PGSERVICE names another server. */
  readonly isListed?: boolean;
}

/** The target so far as flags, a service and the environment describe it: the password may be missing. */
export function targetServer(
  flags: TargetFlags,
  known: KnownTarget = {},
): { readonly server: Server; readonly auth?: Authentication | undefined; readonly password?: string | undefined } {
  const named = flags.serverName === undefined ? undefined : namedServer(flags.serverName);
  const serviceName = flags.service ?? (named || known.isListed ? undefined : process.env.PGSERVICE);
  const service = serviceName === undefined ? named : requireService(serviceName, "--service");
  refuseDemands(service, process.env);
  const auth = givenAuthentication("--auth", flags.auth || process.env.PG_MIGRATION_AUTH);
  const sslmode = known.defaultSslMode ?? usualSslMode(auth ?? known.auth);
  const { password, ...settings } = merge(flags, service, environment("PG"), { sslmode });
  return { server: serverOf(settings, "target"), auth, password };
}

/**
 * The source.
 *
 * @param known from the record or the properties file; takes precedence over the environment
 * @param canPrompt false in a process without a user
 */
export async function resolveSource(flags: SourceFlags, known: KnownServer = {}, canPrompt = true): Promise<Endpoint> {
  const serviceName = flags.sourceService ?? process.env.PG_MIGRATION_SOURCE_SERVICE;
  const service = serviceName === undefined ? undefined : requireService(serviceName, "--source-service");
  refuseDemands(service);
  const own = {
    host: flags.sourceHost,
    port: flags.sourcePort,
    user: flags.sourceUser,
    sslmode: flags.sourceSslmode,
    sslrootcert: flags.sourceSslrootcert,
  };
  const { host, port, user, sslMode, sslRootCert } = known;
  const recorded = { host, port: port?.toString(), user, sslmode: sslMode, sslrootcert: sslRootCert };
  const auth = givenAuthentication("--source-auth", flags.sourceAuth || process.env.PG_MIGRATION_SOURCE_AUTH);
  const sslmode = defaultSslMode(known, "source", auth ?? known.auth);
  const settings = merge(own, service, recorded, environment("PG_MIGRATION_SOURCE_"), { sslmode });
  const server = serverOf(settings, "source");
  if (auth) return { ...server, auth };
  return withPassword(server, settings.password, {
    canPrompt,
    database: "*",
    variable: "PG_MIGRATION_SOURCE_PASSWORD",
    auth: known.auth,
  });
}

/** The service of that name, otherwise a host; a name without a dot or a resource ID is a flexible server. */
function namedServer(name: string): Service {
  const { host } = (name.startsWith("/") ? parseResourceId(name) : undefined) ?? {};
  if (host !== undefined) return { host };
  const bare = /^[a-z0-9][a-z0-9-]*$/i.test(name) && name !== "localhost";
  return findService(name) ?? { host: bare ? `${name}.postgres.database.azure.com` : name };
}

const keywords = ["host", "port", "user", "sslmode", "sslrootcert", "password"] as const;

function environment(prefix: string): Settings {
  return Object.fromEntries(keywords.map((keyword) => [keyword, process.env[prefix + keyword.toUpperCase()]]));
}

/** For each keyword, the first source that sets it. */
function merge(...sources: readonly (object | undefined)[]): Settings {
  const firstValue = (keyword: string): unknown =>
    sources
      .map((source) => (source as Record<string, unknown> | undefined)?.[keyword])
      .find((value) => value !== undefined && value !== "");
  return Object.fromEntries(keywords.map((keyword) => [keyword, firstValue(keyword)]));
}

/** The authentication of a flag or variable: the name of a kind, or an object of the same form as the input `auth`. */
function givenAuthentication(property: string, text: string | undefined): Authentication | undefined {
  if (!text) return undefined;
  const parsed = authenticationSchema.safeParse(/^\s*\{/.test(text) ? parsedJson(text) : { kind: text });
  if (parsed.success) return parsed.data;
  const failures = parsed.error.issues.map(({ path, message }) => ({
    property: [property, ...path.filter((key) => key !== "kind")].join("."),
    reason: message,
  }));
  throw new InvalidInputError(failures);
}

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const portSchema = z.coerce.number().int().min(1).max(65535).default(5432);

function serverOf(settings: Settings, side: "source" | "target"): Server {
  const prefix = side === "source" ? "--source-" : "--";
  const variable = side === "source" ? "PG_MIGRATION_SOURCE_" : "PG";
  const port = portSchema.safeParse(settings.port);
  const sslMode = sslModeOf(settings.sslmode);
  const failures = [
    ...(settings.host ? [] : [missing(`${prefix}host`, `${variable}HOST`, `host of the ${side}`)]),
    ...unusableHost(`${prefix}host`, settings.host),
    ...(settings.user ? [] : [missing(`${prefix}user`, `${variable}USER`, `role of the ${side}`)]),
    ...(port.success
      ? []
      : [{ property: `${prefix}port`, reason: `invalid port "${settings.port ?? ""}": expected 1 to 65535` }]),
    ...(sslMode
      ? []
      : [{ property: `${prefix}sslmode`, reason: `invalid mode "${settings.sslmode ?? ""}": expected ${modes}` }]),
    ...(settings.sslrootcert ? unreadable(`${prefix}sslrootcert`, settings.sslrootcert) : []),
  ];
  if (failures.length > 0 || !port.success || !sslMode) throw new InvalidInputError(failures);
  const { host, user, sslrootcert } = settings;
  return {
    host: host!,
    port: port.data,
    user: user!,
    sslMode,
    ...(sslrootcert ? { sslRootCert: sslrootcert } : {}),
  };
}

function unusableHost(property: string, host: string | undefined): { property: string; reason: string }[] {
  const parsed = host ? hostSchema.safeParse(host) : undefined;
  return (parsed?.error?.issues ?? []).map(({ message }) => ({ property, reason: message }));
}

const missing = (flag: string, variable: string, what: string): { property: string; reason: string } => ({
  property: flag,
  reason: `the ${what} is missing; pass ${flag}, set ${variable}, or use a service of pg_service.conf`,
});

/** Reported here as a wrong option; the connection would report a refusal. */
function unreadable(flag: string, file: string): { property: string; reason: string }[] {
  try {
    if (!file.includes("-----BEGIN")) accessSync(file, constants.R_OK);
    return [];
  } catch (error) {
    return [{ property: flag, reason: messageOf(error) }];
  }
}

export const modes = "disable, prefer, require, verify-ca or verify-full";

/** Spelled as in libpq or as in Azure, in any case. */
export function sslModeOf(text = "prefer"): SslMode | undefined {
  const known: readonly SslMode[] = ["Disable", "Prefer", "Require", "VerifyCA", "VerifyFull"];
  const plain = text.replace(/-/g, "").toLowerCase();
  if (plain === "allow") return "Prefer";
  return known.find((mode) => mode.toLowerCase() === plain);
}

interface PasswordOrigin {
  readonly database: string;
  readonly variable: string;
  readonly auth: Authentication | undefined;
  readonly canPrompt: boolean;
}

async function withPassword(
  server: Server,
  given: string | undefined,
  { database, variable, auth, canPrompt }: PasswordOrigin,
): Promise<Endpoint> {
  if (given === undefined && auth !== undefined) return { ...server, auth };
  const where = `${server.user}@${server.host}:${server.port}`;
  const known = given ?? passwordFromFile({ ...server, database });
  const password = known ?? (canPrompt ? await promptSecret(`Password of ${where}: `) : undefined) ?? "";
  if (password !== "") return { ...server, password };
  throw new InvalidInputError([
    {
      property: "password",
      reason: `missing for ${where}; set ${variable}, add a line to ~/.pgpass (or the file in PG_MIGRATION_PASSFILE), or pass --${variable === "PGPASSWORD" ? "" : "source-"}auth`,
    },
  ]);
}
