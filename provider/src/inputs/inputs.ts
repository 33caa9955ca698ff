import { z } from "zod";
import { parseByteSize } from "../units/byte-size.js";
import { parseDuration } from "../units/duration.js";
import { anyCase } from "./any-case.js";
import { cutoverWindowSchema } from "./cutover-window.js";
import { isPattern } from "./database-patterns.js";
import { filterSchema } from "./filter.js";
import { defaultMaintenanceDatabase } from "./maintenance-database.js";
import { hostSchema, serverSchema, sslModeSchema } from "./server.js";
import { serviceDatabases } from "./service-databases.js";
import { wholeNumber } from "./whole-number.js";
import { usesToken } from "../postgres/authentication/authentication.js";
import type { Endpoint } from "../postgres/connection/endpoint.js";

/** `true` and `false`, and the spellings of Azure's REST API, `"True"` and `"False"`, in any case. */
const switchSchema = z.union(
  [
    z.boolean(),
    z
      .string()
      .regex(/^(true|false)$/i)
      .transform((text) => text.toLowerCase() === "true"),
  ],
  { error: 'give true or false (or "True" or "False", as Azure\'s API does)' },
);

export const adminCredentialsSchema = z.strictObject({
  sourceServerPassword: z.string().min(1, "give the role's password, from a secret").optional(),
  targetServerPassword: z.string().min(1, "give the role's password, from a secret").optional(),
});

export const secretParametersSchema = z.strictObject({
  adminCredentials: adminCredentialsSchema.optional(),
  sourceServerUsername: z.string().min(1).optional(),
  targetServerUsername: z.string().min(1).optional(),
});

const databaseName = z
  .string()
  .min(1, "a database has a name")
  .refine((name) => Buffer.byteLength(name) <= 63, "PostgreSQL's names have at most 63 bytes")
  .refine((name) => !name.includes("\0"), "PostgreSQL's names have no NUL character")
  .refine((name) => !serviceDatabases.includes(name), "this database belongs to the server and is not migrated");

const withoutDuplicates = (names: readonly string[]): boolean => new Set(names).size === names.length;
const duplicates = "the list contains a database twice";

const databaseNames = z.array(databaseName).refine(withoutDuplicates, duplicates);

/** Names, patterns and exclusions. Only names have the limits of names. */
const databaseList = z
  .array(
    z.string().superRefine((entry, context) => {
      const { error } = isPattern(entry) ? {} : databaseName.safeParse(entry);
      for (const { message } of error?.issues ?? []) context.addIssue({ code: "custom", message });
    }),
  )
  .refine(withoutDuplicates, duplicates);

/** Bytes, or a text such as `10GB`. */
const bytesFrom = (least: number, message: string): z.ZodType<number, number | string> =>
  z.union([z.number(), z.string()]).transform((size, context) => {
    const bytes = parseByteSize(size);
    if (bytes !== undefined && bytes >= least) return bytes;
    context.addIssue({ code: "custom", message });
    return z.NEVER;
  });

const byteSize = bytesFrom(1, 'invalid size: give bytes, or a text such as "10GB"');

/** A single read from a socket has 64 kB. A lower limit is mostly a number that was meant as megabytes. */
const copyRate = bytesFrom(65_536, 'invalid rate: give bytes per second, at least 64kB, or a text such as "50MB"');

const durationForm = "give seconds, or a text such as 90s, 30m, 2h or 7d";

/** Time limit in seconds or as text. */
const duration = z.union(
  [
    z.number().positive(durationForm),
    z.string().transform((text, context) => {
      const seconds = parseDuration(text);
      if (seconds !== undefined) return seconds;
      context.addIssue({ code: "custom" });
      return z.NEVER;
    }),
  ],
  { error: durationForm },
);

export const timeoutsSchema = z.strictObject({
  create: duration.optional(),
  update: duration.optional(),
  delete: duration.optional(),
});

/** Receiver of state changes. The address may contain a secret, in addition to `secret`. */
export const webhookSchema = z.strictObject({
  url: z.url({ protocol: /^https?$/, error: "give an address that starts with https:// or http://" }),
  secret: z.string().min(16, "the secret must have at least 16 characters").optional(),
});

export type WebhookTarget = z.output<typeof webhookSchema>;

const utcTime = z.union([z.iso.datetime({ offset: true, local: true }), z.iso.date()], {
  error: "give a time in UTC, such as 2030-01-31T22:00:00Z",
});

/** Platforms of the source: `SourceType` of Azure's REST API, version 2025-08-01. */
export const sourceTypes = [
  "OnPremises",
  "AWS",
  "AWS_RDS",
  "AWS_AURORA",
  "AWS_EC2",
  "GCP",
  "GCP_CloudSQL",
  "GCP_AlloyDB",
  "GCP_Compute",
  "AzureVM",
  "PostgreSQLSingleServer",
  "PostgreSQLFlexibleServer",
  "PostgreSQLCosmosDB",
  "EDB",
  "EDB_Oracle_Server",
  "EDB_PostgreSQL",
  "Huawei_RDS",
  "Huawei_Compute",
  "Heroku_PostgreSQL",
  "Crunchy_PostgreSQL",
  "ApsaraDB_RDS",
  "Digital_Ocean_Droplets",
  "Digital_Ocean_PostgreSQL",
  "Supabase_PostgreSQL",
] as const;

export type SourceType = (typeof sourceTypes)[number];

export const maxWorkers = 16;

/** All inputs of a program and of the state: `source`, `target`, and the ARM body's keys. */
export const inputsSchema = z.strictObject({
  migrationName: z
    .string()
    .regex(
      /^[A-Za-z0-9][A-Za-z0-9-]{0,62}$/,
      "use letters, digits and hyphens, starting with a letter or digit, at most 63 (Azure's rule for names)",
    ),
  source: serverSchema.optional(),
  target: serverSchema.optional(),
  sourceDbServerResourceId: z.string().min(1).optional(),
  sourceDbServerFullyQualifiedDomainName: hostSchema.optional(),
  targetDbServerResourceId: z.string().min(1).optional(),
  targetDbServerFullyQualifiedDomainName: hostSchema.optional(),
  secretParameters: secretParametersSchema.optional(),
  /** Azure's documentation lists the names outside secretParameters, but its service ignores them there. */
  sourceServerUsername: z.string().min(1).optional(),
  targetServerUsername: z.string().min(1).optional(),
  sourceType: anyCase(sourceTypes).optional(),
  /** For both servers, unless `source` or `target` has its own. */
  sslMode: sslModeSchema.optional(),
  dbsToMigrate: databaseList.default([]),
  /**
   * Set by the resource class: the program's `dbsToMigrate` if that has patterns, whose matches `dbsToMigrate` then has.
   * Empty for names that need no interpretation. Undefined before patterns are resolved.
   */
  dbsToMigratePatterns: z.array(z.string()).optional(),
  migrationMode: anyCase(["Offline", "Online"]).default("Offline"),
  migrationOption: anyCase(["Validate", "Migrate", "ValidateAndMigrate"]).default("ValidateAndMigrate"),
  overwriteDbsInTarget: switchSchema.default(false),
  setupLogicalReplicationOnSourceDbIfNeeded: switchSchema.default(false),
  waitForConfirmation: switchSchema.default(false),
  startDataMigration: switchSchema.default(true),
  migrationWindowStartTimeInUtc: utcTime.optional(),
  migrationWindowEndTimeInUtc: utcTime.optional(),
  triggerCutover: switchSchema.default(false),
  dbsToTriggerCutoverOn: databaseNames.default([]),
  cancel: switchSchema.default(false),
  dbsToCancelMigrationOn: databaseNames.default([]),
  migrationInstanceResourceId: z.string().min(1).optional(),
  migrationRuntimeResourceId: z.string().min(1).optional(),
  tags: z.record(z.string(), z.string()).default({}),
  verification: z.enum(["none", "counts", "content"]).default("content"),
  /** Online: compares before the cutover starts, while writes continue. Databases that differ are not cut over. */
  verifyBeforeCutover: switchSchema.default(false),
  /** Online: each new value, of any text, starts a comparison. */
  verifyNow: z.string().min(1, "give any text that changes with each comparison").max(100).optional(),
  /**
   * Online: after the cutover, `keep` replicates changes of the target to the source. Then `drop` removes this rollback
   * replication, and with `return` the source becomes primary again.
   */
  rollback: z.enum(["drop", "keep", "return"]).default("drop"),
  /** Tables copied, and indexes built, at the same time. Undefined: chosen by the settings of both servers. */
  tableJobs: wholeNumber("a number", 1, 64).optional(),
  applySessions: wholeNumber("a number", 1, 64).optional(),
  indexJobs: wholeNumber("a number", 1, 64).optional(),
  /** Number of workers that share the copy, each with its own jobs. */
  workers: wholeNumber("a number", 1, maxWorkers).default(1),
  /** Bytes per second that the copy reads from the source, over all tables and workers. Undefined: no limit. */
  maxCopyRate: copyRate.optional(),
  /** The copy slows down while a replica of the source is farther behind, in seconds. Undefined: no limit. */
  maxReplicaLag: duration.optional(),
  /** Larger tables are copied in parts. */
  splitTablesLargerThan: byteSize.default(10 * 1024 ** 3),
  include: filterSchema.default({}),
  exclude: filterSchema.default({}),
  schemaOnly: switchSchema.default(false),
  dataOnly: switchSchema.default(false),
  /** New names on the target, by names on the source. */
  databaseNames: z.record(z.string(), databaseName).default({}),
  migrateRoles: switchSchema.default(false),
  /** Online: for keyless tables, replicates only inserts, or sets REPLICA IDENTITY FULL temporarily. */
  keylessTables: z.enum(["insertsOnly", "full"]).default("insertsOnly"),
  /** Online: whether the worker applies changes of the source's schema, or asks the operator for each of them. */
  schemaChanges: z.enum(["carry", "pause"]).default("carry"),
  /** Online: the source's decoding plugin. Undefined: chosen by the source's version. */
  decodingPlugin: z.enum(["pgoutput", "test_decoding"]).optional(),
  /** Whether the source's databases become read-only, and their sessions end: before the copy, or online at the cutover. */
  fence: z.enum(["none", "readOnly"]).default("none"),
  /** Offline: what a copy does if the source was written after its snapshot. */
  offlineWrites: z.enum(["warn", "fail"]).default("warn"),
  /** Online: time limit of the comparison at cutover, in seconds. Only the rows of the remaining tables are counted. */
  cutoverVerificationBudget: duration.default(300),
  /** Online: a requested cutover waits until the target is at most this far behind, in seconds. Undefined: no limit. */
  maxCutoverLag: duration.optional(),
  /** Online: a requested cutover starts only in this window. Undefined: at any time. */
  cutoverWindow: cutoverWindowSchema.optional(),
  /** Online: number of steps by which the target's sequences are advanced at cutover. */
  sequenceMargin: wholeNumber("a number of steps", 0, 1_000_000_000).default(0),
  /** Online: how long to retry a lost server, in seconds. */
  reconnectFor: duration.default(600),
  /** Online: maximum WAL that the source retains for a slot. If it is exceeded, the slot is dropped. */
  maxRetainedWal: byteSize.optional(),
  onMaxRetainedWal: z.enum(["pause", "cancel"]).default("pause"),
  /** Undefined: chosen by `defaultMaintenanceDatabase`. */
  maintenanceDatabase: databaseName.optional(),
  runner: z.enum(["local", "external"]).optional(),
  waitFor: z.enum(["started", "cutoverReady", "succeeded"]).optional(),
  /** Whether an operation on a failed migration ends with an error, or completes with the output `failure`. */
  onFailure: z.enum(["fail", "report"]).default("fail"),
  /** How many more times an operation attempts a migration that failed. */
  retries: wholeNumber("a number", 0, 10).default(0),
  /** What `create` does with a record that has ended, or that belongs to another owner. */
  onExistingRecord: z.enum(["refuse", "adopt", "restart"]).default("refuse"),
  timeouts: timeoutsSchema.default({}),
  webhook: webhookSchema.optional(),
  /** A file that ends in .html or .json, or a directory: gets a report when the migration has ended. */
  report: z.string().min(1, "give a file that ends in .html or .json, or a directory").optional(),
  /**
   * Set by the resource class. A newer package changes the value, so that the provider's text in the state is updated.
   */
  engineVersion: z.string().default(""),
  /** Set by the resource class: the resource that shows live progress. */
  resourceUrn: z.string().default(""),
});

/** Inputs with their defaults, under the keys that the program uses. */
export type DeclaredInputs = z.output<typeof inputsSchema>;

/** Keys of Azure's body that name the servers, as alternatives to `source` and `target`. */
export const armServerKeys = [
  "sourceDbServerResourceId",
  "sourceDbServerFullyQualifiedDomainName",
  "targetDbServerResourceId",
  "targetDbServerFullyQualifiedDomainName",
  "secretParameters",
  "sourceServerUsername",
  "targetServerUsername",
  "sslMode",
] as const satisfies readonly (keyof DeclaredInputs)[];

/** Keys that are alternatives to `source`, `target` and `runner`. */
const synonyms = [
  ...armServerKeys,
  "migrationInstanceResourceId",
  "migrationRuntimeResourceId",
] as const satisfies readonly (keyof DeclaredInputs)[];

/** Inputs for the engine: both servers are complete, whichever keys the program uses. */
export interface Inputs extends Omit<
  DeclaredInputs,
  (typeof synonyms)[number] | "source" | "target" | "runner" | "maintenanceDatabase"
> {
  readonly maintenanceDatabase: string;
  /** Only if it is complete, so that Azure can be asked about the server. */
  readonly targetDbServerResourceId?: string | undefined;
  readonly source: Endpoint;
  readonly target: Endpoint;
  readonly runner: "local" | "external";
}

const isFlexibleServerId = (id: string): boolean =>
  /^\/subscriptions\/[\w-]+\/resourceGroups\/[\w.()-]+\/providers\/Microsoft\.DBforPostgreSQL\/flexibleServers\/[\w-]+\/?$/i.test(
    id,
  );

export function inputsOf(declared: DeclaredInputs, servers: Pick<Inputs, "source" | "target">): Inputs {
  const plain = Object.fromEntries(
    Object.entries(declared).filter(([key]) => !synonyms.some((synonym) => synonym === key)),
  ) as Omit<DeclaredInputs, (typeof synonyms)[number]>;
  const runtimeServer = declared.migrationInstanceResourceId ?? declared.migrationRuntimeResourceId;
  const runner = declared.runner ?? (runtimeServer === undefined ? "local" : "external");
  const maintenanceDatabase = declared.maintenanceDatabase ?? defaultMaintenanceDatabase(declared);
  const resourceId = declared.targetDbServerResourceId;
  const known = resourceId !== undefined && isFlexibleServerId(resourceId);
  const azure = known ? { targetDbServerResourceId: resourceId } : {};
  return { ...plain, ...servers, ...azure, runner, maintenanceDatabase };
}

/** A server without secrets, as recorded and shown. */
export type PublicEndpoint = Omit<Endpoint, "password">;

/** The content of the records: everything but secrets and inputs that concern only Pulumi. */
export interface MigrationSpec extends Omit<
  Inputs,
  | "source"
  | "target"
  | "webhook"
  | "report"
  | "timeouts"
  | "waitFor"
  | "onExistingRecord"
  | "onFailure"
  | "retries"
  | "engineVersion"
  | "resourceUrn"
> {
  readonly source: PublicEndpoint;
  readonly target: PublicEndpoint;
}

/** The spec without secrets for the records. A command may contain a secret, too. */
export function specOf(inputs: Inputs): MigrationSpec {
  const { webhook: _webhook, report: _report, timeouts: _timeouts, waitFor: _waitFor, ...kept } = inputs;
  const { onExistingRecord: _onExisting, onFailure: _onFailure, retries: _retries, ...own } = kept;
  const { engineVersion: _engine, resourceUrn: _urn, ...rest } = own;
  return { ...rest, source: publicEndpoint(inputs.source), target: publicEndpoint(inputs.target) };
}

const {
  timeouts: _timeouts,
  onExistingRecord: _onExisting,
  onFailure: _onFailure,
  retries: _retries,
  engineVersion: _engine,
  resourceUrn: _urn,
  ...recorded
} = inputsSchema.shape;
const defaults: Readonly<Record<string, unknown>> = Object.fromEntries(
  Object.entries(recorded).flatMap(([key, schema]) => {
    const { data } = schema.safeParse(undefined);
    return data === undefined ? [] : [[key, data]];
  }),
);

/** Completes a spec from the records. A spec of an earlier version lacks newer inputs. */
export const completeSpec = (spec: MigrationSpec): MigrationSpec => ({
  ...defaults,
  // Recorded names need no interpretation, whatever characters they have.
  dbsToMigratePatterns: [],
  ...spec,
});

export function publicEndpoint({ password: _password, auth, ...shown }: Endpoint): PublicEndpoint {
  return usesToken(auth) ? { ...shown, auth } : shown;
}
