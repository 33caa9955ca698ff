import type { SourceType } from "../inputs/inputs.js";

/** A server parameter and the value that a migration requires. */
export interface ServerParameter {
  readonly name: string;
  readonly value: string;
}

/** A client that a server has to let in. */
export interface Access {
  /** The client's address in CIDR notation, as the server sees it, or a placeholder in `<...>`. */
  readonly address: string;
  readonly port: number;
  /** Quoted as pg_hba.conf requires it. */
  readonly role: string;
}

/** A service or an installation that runs a PostgreSQL server, and its administrator's commands. */
export interface Platform {
  readonly name: string;
  /** Values of the input `sourceType` that name it. */
  readonly sourceTypes: readonly SourceType[];
  /** How a session recognizes it, for the documentation. */
  readonly recognizedBy: string;
  /** The commands that set parameters, without the restart. */
  readonly set: (parameters: readonly ServerParameter[]) => readonly string[];
  /** The command that restarts the server. Absent if setting a parameter restarts it. */
  readonly restart?: string;
  /** The statement that allows a role, quoted as SQL requires it, to replicate. */
  readonly grantReplication: (role: string) => string;
  /** The commands that open the network for a client. */
  readonly allow: (access: Access) => readonly string[];
  /** The steps that accept its login in pg_hba.conf. Absent for services, which write that file themselves. */
  readonly letIn?: (access: Access) => readonly string[];
  /** The host and port to migrate from. */
  readonly host: string;
  /** Schemas and roles that the service creates. A user's tables and policies may refer to them. */
  readonly systemSchemas: readonly string[];
  readonly systemRoles: readonly string[];
  /** The share of the memory that it gives to shared_buffers. Absent for the usual quarter. */
  readonly sharedBuffersShare?: number;
  /** Why it does not support online migrations. */
  readonly offlineOnly?: string;
  /** The service's documentation of the commands. */
  readonly documentation: readonly string[];
}

/** Parameters that take effect when the configuration is loaded again. The others that findings name need a restart. */
const reloadable: readonly string[] = [
  ...["idle_replication_slot_timeout", "max_slot_wal_keep_size", "autovacuum", "max_wal_size", "checkpoint_timeout"],
  ...["maintenance_work_mem", "pgbouncer.enabled", "track_io_timing", "pg_stat_statements.track"],
  "default_transaction_read_only",
];

export const needsRestart = (parameters: readonly ServerParameter[]): boolean =>
  parameters.some(({ name }) => !reloadable.includes(name));

/**
 * The commands that set parameters of a server, including the restart if one is needed.
 *
 * @example
 * ```ts
 * parameterCommands(azureFlexibleServer, [{ name: "wal_level", value: "logical" }]);
 * ```
 */
export function parameterCommands({ set, restart }: Platform, parameters: readonly ServerParameter[]): string {
  const isRestarted = restart !== undefined && needsRestart(parameters);
  return joinCommands(isRestarted ? [...set(parameters), restart] : set(parameters));
}

/** Commands in the order in which a finding shows them. */
export const joinCommands = (commands: readonly string[]): string => commands.join("; ");

/** Managed services replace `wal_level` by a switch of their own. */
export const withLevelSwitch = (parameters: readonly ServerParameter[], level: ServerParameter): ServerParameter[] =>
  parameters.map((parameter) => (parameter.name === "wal_level" ? level : parameter));

/** Forms in which the commands of services take parameters. */
export const assignment = ({ name, value }: ServerParameter): string => `${name}=${value}`;
export const jsonOf = (parameters: readonly ServerParameter[]): string =>
  JSON.stringify(Object.fromEntries(parameters.map(({ name, value }) => [name, value])));

/** The default of services in which the administrator may grant the attribute. */
export const alterRoleReplication = (role: string): string => `ALTER ROLE ${role} REPLICATION`;

/** The address without its prefix length. */
export const withoutPrefixLength = (address: string): string => address.replace(/\/\d+$/, "");

export const isIpv6 = (address: string): boolean => address.includes(":");

/** The steps for a client of a service whose firewall accepts only IPv4 addresses. */
export const overIpv4 =
  (commands: Platform["allow"]): Platform["allow"] =>
  (access) =>
    isIpv6(access.address)
      ? [`none for ${access.address}: the service accepts only IPv4 addresses, so let the worker connect over IPv4`]
      : commands(access);

/** The commands of a service whose wal_level is logical and cannot be set: those for the other parameters. */
export function exceptWalLevel(
  parameters: readonly ServerParameter[],
  commandFor: (others: readonly ServerParameter[]) => string,
): string[] {
  const others = parameters.filter(({ name }) => name !== "wal_level");
  const steps: string[] = [];
  if (others.length < parameters.length)
    steps.push("wal_level is logical by default, and only the service's support can change it");
  if (others.length > 0) steps.push(commandFor(others));
  return steps;
}
