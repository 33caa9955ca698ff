import type { InputFailure } from "../errors.js";
import {
  adminCredentialsSchema,
  inputsSchema,
  secretParametersSchema,
  type DeclaredInputs,
  type Inputs,
} from "./inputs.js";
import type { Endpoint } from "../postgres/connection/endpoint.js";

/**
 * Converts the body of Azure's REST resource `flexibleServers/migrations` (API version 2025-08-01): its names for the
 * two servers, and its nesting of most keys below `properties`.
 */

/** Inputs with servers, roles and passwords. */
export const serverKeys = [
  "source",
  "target",
  "sourceDbServerResourceId",
  "sourceDbServerFullyQualifiedDomainName",
  "targetDbServerResourceId",
  "targetDbServerFullyQualifiedDomainName",
  "secretParameters",
  "sourceServerUsername",
  "targetServerUsername",
  "sslMode",
] as const satisfies readonly (keyof DeclaredInputs)[];

export interface ResolvedServers {
  /** Undefined if a required value is missing. */
  readonly servers: Pick<Inputs, "source" | "target"> | undefined;
  readonly failures: readonly InputFailure[];
}

/** Combines both servers from `source` and `target` and the ARM keys; `source` and `target` have priority. */
export function resolveServers(inputs: DeclaredInputs): ResolvedServers {
  const failures: InputFailure[] = [];
  const source = resolveServer(inputs, "source", failures);
  const target = resolveServer(inputs, "target", failures);
  return { servers: source && target && { source, target }, failures };
}

function resolveServer(
  inputs: DeclaredInputs,
  side: "source" | "target",
  failures: InputFailure[],
): Endpoint | undefined {
  const given = inputs[side] ?? {};
  const resourceIdKey = `${side}DbServerResourceId` as const;
  const resourceId = inputs[resourceIdKey];
  const named = resourceId === undefined ? {} : parseResourceId(resourceId);
  if (!named) {
    failures.push({
      property: resourceIdKey,
      reason: "write host:port@user, or the Azure resource id of a PostgreSQL server",
    });
    return undefined;
  }
  const secrets = inputs.secretParameters;
  const host = given.host ?? inputs[`${side}DbServerFullyQualifiedDomainName`] ?? named.host;
  const user = given.user ?? secrets?.[`${side}ServerUsername`] ?? inputs[`${side}ServerUsername`] ?? named.user;
  const password = given.password ?? secrets?.adminCredentials?.[`${side}ServerPassword`];
  const missing = (key: string, reason: string): void => {
    failures.push({ property: `${side}.${key}`, reason });
  };
  if (host === undefined) missing("host", `is missing: give the server here, or as ${resourceIdKey}`);
  if (user === undefined)
    missing("user", `is missing: give the role here, or as secretParameters.${side}ServerUsername`);
  if (password === undefined && given.passwordCommand === undefined)
    missing(
      "password",
      `is missing: give it here, as secretParameters.adminCredentials.${side}ServerPassword, or give a passwordCommand`,
    );
  if (password !== undefined && given.passwordCommand !== undefined)
    missing("passwordCommand", "a password is also given: remove one of the two");
  if (host === undefined || user === undefined || (password ?? given.passwordCommand) === undefined) return undefined;
  return {
    host,
    port: given.port ?? named.port ?? 5432,
    user,
    ...(password === undefined ? {} : { password }),
    ...(given.passwordCommand === undefined ? {} : { passwordCommand: given.passwordCommand }),
    sslMode: given.sslMode ?? inputs.sslMode ?? "Prefer",
    ...(given.sslRootCert === undefined ? {} : { sslRootCert: given.sslRootCert }),
  };
}

interface NamedServer {
  readonly host?: string;
  readonly port?: number;
  readonly user?: string;
}

/** Parses `host:port@user`, Azure's format for servers outside Azure, or the ARM id of a server on Azure. */
export function parseResourceId(id: string): NamedServer | undefined {
  const azure = /\/providers\/Microsoft\.DBforPostgreSQL\/(?:flexibleServers|servers)\/([^/]+)\/?$/i.exec(id);
  if (azure) return { host: `${azure[1]!}.postgres.database.azure.com` };
  const plain = /^(?:\[([0-9a-f:.]+)\]|([^:@/\s[\]]+)):(\d{1,5})@(\S+)$/i.exec(id);
  if (!plain) return undefined;
  const [, address, name, port, user] = plain;
  if (Number(port) < 1 || Number(port) > 65_535) return undefined;
  return { host: address ?? name!, port: Number(port), user: user! };
}

/** Read-only properties of Azure's responses to GET, so that an exported body can be used unchanged. */
const readOnly = [
  "id",
  "type",
  "location",
  "systemdata",
  "migrationid",
  "currentstatus",
  "sourcedbservermetadata",
  "targetdbservermetadata",
];

/**
 * Converts an ARM body to inputs. It unwraps `properties`, corrects the case of keys (the `az` command ignores case),
 * and removes Azure's read-only properties. Values are copied unread, because they may be Pulumi outputs. Unknown keys
 * are kept, and `check` refuses them.
 */
export function inputsFromArmBody(body: Readonly<Record<string, unknown>>): Record<string, unknown> {
  // Assigning a key named __proto__ would hide it from `check`; building from entries keeps it.
  return Object.fromEntries(Object.entries(body).flatMap(([key, value]) => inputEntries(key, value)));
}

function inputEntries(key: string, value: unknown): [key: string, value: unknown][] {
  const lower = key.toLowerCase();
  if (value === null || readOnly.includes(lower)) return [];
  if (lower === "properties" && isPlainObject(value)) return Object.entries(inputsFromArmBody(value));
  if (lower === "name") return [["migrationName", value]];
  if (lower === "secretparameters" && isPlainObject(value)) return [["secretParameters", secretParameters(value)]];
  return [[spelling(key, Object.keys(inputsSchema.shape)), value]];
}

function secretParameters(given: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const spelled = respelled(given, Object.keys(secretParametersSchema.shape));
  const { adminCredentials } = spelled;
  if (!isPlainObject(adminCredentials)) return spelled;
  return { ...spelled, adminCredentials: respelled(adminCredentials, Object.keys(adminCredentialsSchema.shape)) };
}

const respelled = (given: Readonly<Record<string, unknown>>, known: readonly string[]): Record<string, unknown> =>
  Object.fromEntries(Object.entries(given).map(([key, value]) => [spelling(key, known), value]));

const spelling = (key: string, known: readonly string[]): string =>
  known.find((name) => name.toLowerCase() === key.toLowerCase()) ?? key;

const isPlainObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype;
