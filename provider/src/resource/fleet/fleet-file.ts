import * as pulumi from "@pulumi/pulumi";
import { basename } from "node:path";
import { z } from "zod";
import type { ListLine } from "../../inputs/lists/list-line.js";
import { readListFile } from "../../inputs/lists/read-list-file.js";
import type { FleetMember } from "./fleet-member.js";

/** A member of a fleet, and where it is described. */
export interface PlacedMember {
  readonly place: string;
  readonly member: FleetMember;
}

/** Members as far as their entries are valid, and what is wrong with the others. */
export interface FleetList {
  readonly members: readonly PlacedMember[];
  readonly problems: readonly string[];
}

type Values = Readonly<Record<string, unknown>>;

/**
 * Reads the members of a fleet from a file: CSV, YAML or JSON with the keys of a member. The file may also be the output of
 * `az postgres server list`, `az postgres flexible-server list -o json` or `aws rds describe-db-instances`. Columns of CSV name
 * nested keys with dots (`source.host`).
 *
 * @param listed what the servers of az and aws are
 * @throws InvalidInputError if the file cannot be read
 */
export function readFleetFile(file: string, listed: "source" | "target"): FleetList {
  const lines = readListFile(file, "migrations", ["migrations", "value", "DBInstances"]);
  const members: PlacedMember[] = [];
  const problems: string[] = [];
  for (const entry of lines) {
    const place = `${basename(file)}:${entry.line}`;
    const found = memberOf(entry, listed);
    if (typeof found === "string") problems.push(`${place}: ${found}`);
    else members.push({ place, member: found });
  }
  return { members, problems };
}

/** The member, or what is wrong. */
function memberOf(entry: ListLine, listed: "source" | "target"): FleetMember | string {
  if ("problem" in entry) return entry.problem;
  const rds = rdsSchema.safeParse(entry.values);
  if (rds.success) return rdsMember(rds.data, listed);
  const azure = azureSchema.safeParse(entry.values);
  if (azure.success) return azureMember(azure.data, listed);
  // As a property of an object it would set inputs without a key of their own.
  if (Object.keys(entry.values).some((key) => key.split(".")[0] === "__proto__")) return "__proto__: unknown input";
  return ownMember(nested(entry.values));
}

/** "DescribeDBInstances" of the API reference of Amazon RDS. */
const rdsSchema = z.object({
  DBInstanceIdentifier: z.string(),
  Engine: z.string(),
  MasterUsername: z.string(),
  Endpoint: z.object({ Address: z.string(), Port: z.number() }).optional(),
});

function rdsMember(instance: z.infer<typeof rdsSchema>, listed: "source" | "target"): FleetMember | string {
  const { DBInstanceIdentifier: name, Engine: engine, MasterUsername: user, Endpoint: endpoint } = instance;
  if (!/postgres/.test(engine)) return `${name} is no PostgreSQL server, but ${engine}`;
  if (!endpoint) return `${name} has no endpoint: it is not available`;
  const server = { host: endpoint.Address, port: endpoint.Port, user };
  const sourceType = engine.startsWith("aurora") ? "AWS_AURORA" : "AWS_RDS";
  return { name, [listed]: server, ...(listed === "source" ? { sourceType } : {}) };
}

/** "Servers - List" of the REST reference of Azure Database for PostgreSQL, as `az` prints it. */
const azureSchema = z.object({
  name: z.string(),
  fullyQualifiedDomainName: z.string().min(1),
  administratorLogin: z.string().nullish(),
  type: z.string().regex(/^Microsoft\.DBforPostgreSQL\//i),
});

function azureMember(server: z.infer<typeof azureSchema>, listed: "source" | "target"): FleetMember {
  const { name, fullyQualifiedDomainName: host, administratorLogin, type } = server;
  const isSingle = /\/servers$/i.test(type);
  // A Single Server expects the server's name after the role.
  const user = administratorLogin && isSingle ? `${administratorLogin}@${name}` : administratorLogin;
  const sourceType = isSingle && listed === "source" ? { sourceType: "PostgreSQLSingleServer" as const } : {};
  return { name, [listed]: { host, ...(user ? { user } : {}) }, ...sourceType };
}

const serverSchema = z.looseObject({
  port: z.coerce.number().optional(),
  passwordEnv: z.string().optional(),
  password: z
    .never({ error: "a list contains no passwords: give passwordEnv, auth, or a password in the defaults" })
    .optional(),
});

const ownSchema = z.looseObject({
  name: z.string().min(1),
  wave: z.coerce.number().int().min(1).optional(),
  source: serverSchema.optional(),
  target: serverSchema.optional(),
  dbsToMigrate: z.union([z.array(z.string()), z.string().transform((text) => text.split(/[\s;]+/))]).optional(),
  secretParameters: z.never({ error: "a list contains no passwords" }).optional(),
});

function ownMember(values: Values): FleetMember | string {
  const parsed = ownSchema.safeParse(values);
  if (!parsed.success)
    return parsed.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`).join("; ");
  const { source, target } = parsed.data;
  const unset = [source, target].flatMap((server) => {
    const variable = server?.passwordEnv;
    return variable !== undefined && !process.env[variable] ? [variable] : [];
  });
  if (unset.length > 0) return `passwordEnv: the variable ${unset.join(" and ")} is not set`;
  return {
    ...parsed.data,
    ...(source ? { source: withPassword(source) } : {}),
    ...(target ? { target: withPassword(target) } : {}),
  };
}

function withPassword({ passwordEnv, ...server }: z.infer<typeof serverSchema>): object {
  return passwordEnv === undefined ? server : { ...server, password: pulumi.secret(process.env[passwordEnv]!) };
}

/** `{ "source.host": "db1" }` becomes `{ source: { host: "db1" } }`. */
function nested(values: Values): Values {
  const result: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(values)) {
    const [outer = "", inner] = key.split(".");
    if (inner === undefined) result[outer] = value;
    else result[outer] = { ...(result[outer] as object | undefined), [inner]: value };
  }
  return result;
}
