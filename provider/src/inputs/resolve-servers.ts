import type { InputFailure } from "../errors.js";
import { usesToken, type Authentication } from "../postgres/authentication/authentication.js";
import type { Endpoint, SslMode } from "../postgres/connection/endpoint.js";
import { usualSslMode } from "./server.js";
import { armServerKeys, type DeclaredInputs, type Inputs } from "./inputs.js";

/** Inputs with servers, roles and passwords. */
export const serverKeys = ["source", "target", ...armServerKeys] as const satisfies readonly (keyof DeclaredInputs)[];

export type Side = "source" | "target";

export interface ResolvedServers {
  /** Undefined if a required value is missing. */
  readonly servers: Pick<Inputs, Side> | undefined;
  readonly failures: readonly InputFailure[];
}

/** Combines both servers from `source` and `target` and the ARM keys; `source` and `target` have priority. */
export function resolveServers(inputs: DeclaredInputs): ResolvedServers {
  const source = resolveServer(inputs, "source");
  const target = resolveServer(inputs, "target");
  return {
    servers: source.server && target.server && { source: source.server, target: target.server },
    failures: [...source.failures, ...target.failures],
  };
}

/** One server; undefined if a required value is missing. */
export function resolveServer(
  inputs: DeclaredInputs,
  side: Side,
): { readonly server?: Endpoint; readonly failures: readonly InputFailure[] } {
  const resourceIdKey = `${side}DbServerResourceId` as const;
  const given = givenServer(inputs, side);
  if (!given) return { failures: [{ property: resourceIdKey, reason: resourceIdForm }] };
  const { host, user, password, auth } = given;
  const failures: InputFailure[] = [];
  const missing = (key: string, reason: string): void => {
    failures.push({ property: `${side}.${key}`, reason });
  };
  if (host === undefined) missing("host", `is missing: give the server here, or as ${resourceIdKey}`);
  if (user === undefined)
    missing("user", `is missing: give the role here, or as secretParameters.${side}ServerUsername`);
  if (password === undefined && auth === undefined)
    missing(
      "password",
      `is missing: give it here, as secretParameters.adminCredentials.${side}ServerPassword, or give auth`,
    );
  if (password !== undefined && auth !== undefined) missing("auth", twoPasswords);
  if (host === undefined || user === undefined || (password ?? auth) === undefined) return { failures };
  const { port = 5432, sslMode = defaultSslMode(inputs, side, auth), ...rest } = given;
  if (usesToken(auth) && (sslMode === "Disable" || sslMode === "Prefer")) missing("sslMode", unsafeSslMode);
  return { server: { ...rest, host, port, user, sslMode }, failures };
}

/** A server of which some values may be missing. */
export type GivenServer = { readonly [Key in keyof Endpoint]?: Endpoint[Key] };

/** What the inputs contain of a server; undefined if its resource id is invalid. */
export function givenServer(inputs: Partial<DeclaredInputs>, side: Side): GivenServer | undefined {
  const resourceId = inputs[`${side}DbServerResourceId`];
  const named = resourceId === undefined ? {} : parseResourceId(resourceId);
  if (!named) return undefined;
  const secrets = inputs.secretParameters;
  const given = inputs[side] ?? {};
  const server = {
    ...given,
    host: given.host ?? inputs[`${side}DbServerFullyQualifiedDomainName`] ?? named.host,
    port: given.port ?? named.port,
    user: given.user ?? secrets?.[`${side}ServerUsername`] ?? inputs[`${side}ServerUsername`] ?? named.user,
    password: given.password ?? secrets?.adminCredentials?.[`${side}ServerPassword`],
    sslMode: given.sslMode ?? inputs.sslMode,
  };
  return Object.fromEntries(Object.entries(server).filter(([, value]) => value !== undefined));
}

/** As Azure's service: a single server always offers TLS, with a certificate that every client trusts. */
export const defaultSslMode = (
  { sourceType }: Pick<DeclaredInputs, "sourceType">,
  side: Side,
  auth?: Authentication,
): SslMode => (side === "source" && sourceType === "PostgreSQLSingleServer" ? "VerifyFull" : usualSslMode(auth));

export const resourceIdForm = "write host:port@user, or the Azure resource id of a PostgreSQL server";

const unsafeSslMode = "a token is sent only over TLS: set Require, VerifyCA or VerifyFull";

export const twoPasswords = "a password is also given: remove one of the two";

/** Parses `host:port@user`, Azure's format for servers outside Azure, or the ARM id of a server on Azure. */
export function parseResourceId(id: string): Pick<GivenServer, "host" | "port" | "user"> | undefined {
  const azure = /\/providers\/Microsoft\.DBforPostgreSQL\/(?:flexibleServers|servers)\/([^/]+)\/?$/i.exec(id);
  if (azure) return { host: `${azure[1]!}.postgres.database.azure.com` };
  const plain = /^(?:\[([0-9a-f:.]+)\]|([^:@/\s[\]]+)):(\d{1,5})@(\S+)$/i.exec(id);
  if (!plain) return undefined;
  const [, address, name, port, user] = plain;
  if (Number(port) < 1 || Number(port) > 65_535) return undefined;
  return { host: address ?? name!, port: Number(port), user: user! };
}
