import { z } from "zod";
import { parseByteSize } from "../units/byte-size.js";
import { parseDuration } from "../units/duration.js";
import { filterSchema } from "./filter.js";
import { hostSchema, serverSchema, sslModeSchema } from "./server.js";
import { wholeNumber } from "./whole-number.js";
import type { Endpoint } from "../postgres/connection/endpoint.js";

/** `true` and `false`, and Azure's REST spelling of them, `"True"` and `"False"`, in any case. */
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
  .refine(
    (name) => !["template0", "template1", "azure_maintenance", "azure_sys"].includes(name),
    "this database belongs to the server and is not migrated",
  );

const databaseNames = z
  .array(databaseName)
  .refine((names) => new Set(names).size === names.length, "a database is named twice");

/** Bytes, or a text such as `10GB`. */
const byteSize = z.union([z.number(), z.string()]).transform((size, context) => {
  const bytes = parseByteSize(size);
  if (bytes !== undefined && bytes >= 1) return bytes;
  context.addIssue({ code: "custom", message: 'is no size: give bytes, or a text such as "10GB"' });
  return z.NEVER;
});

const durationForm = "give seconds, or a text such as 90s, 30m, 2h or 7d";

/** How long a wait may take, in seconds or as text. */
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

/** Where changes of state are told; the address may hold a secret as well as the secret itself. */
export const webhookSchema = z.strictObject({
  url: z.url({ protocol: /^https?$/, error: "give an address that begins with https:// or http://" }),
  secret: z.string().min(16, "a secret has 16 characters or more").optional(),
});

export type WebhookTarget = z.output<typeof webhookSchema>;

const moment = z
  .string()
  .refine((text) => !Number.isNaN(Date.parse(text)), "give a time in UTC, such as 2030-01-31T22:00:00Z");

/** Where a source may run: `SourceType` of Azure's REST API, version 2025-08-01. */
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

/** All inputs as they stand in a program and in the state: the ARM body's keys beside `source` and `target`. */
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
  /** Azure's documents misplace the names beside secretParameters, where its service does not see them. */
  sourceServerUsername: z.string().min(1).optional(),
  targetServerUsername: z.string().min(1).optional(),
  sourceType: z.enum(sourceTypes).optional(),
  /** Of both servers, where `source` and `target` say nothing else. */
  sslMode: sslModeSchema.optional(),
  dbsToMigrate: databaseNames.default([]),
  migrationMode: z.enum(["Offline", "Online"]).default("Offline"),
  migrationOption: z.enum(["Validate", "Migrate", "ValidateAndMigrate"]).default("ValidateAndMigrate"),
  overwriteDbsInTarget: switchSchema.default(false),
  setupLogicalReplicationOnSourceDbIfNeeded: switchSchema.default(false),
  waitForConfirmation: switchSchema.default(false),
  startDataMigration: switchSchema.default(true),
  migrationWindowStartTimeInUtc: moment.optional(),
  migrationWindowEndTimeInUtc: moment.optional(),
  triggerCutover: switchSchema.default(false),
  dbsToTriggerCutoverOn: databaseNames.default([]),
  cancel: switchSchema.default(false),
  dbsToCancelMigrationOn: databaseNames.default([]),
  migrationInstanceResourceId: z.string().min(1).optional(),
  migrationRuntimeResourceId: z.string().min(1).optional(),
  tags: z.record(z.string(), z.string()).default({}),
  verification: z.enum(["none", "counts", "content"]).default("content"),
  /** Online: compare before the cutover begins, while writes go on; what differs is not cut over. */
  verifyBeforeCutover: switchSchema.default(false),
  /** Online: any text; a comparison is made each time that it changes. */
  verifyNow: z.string().min(1, "give any text that changes with each comparison").max(100).optional(),
  /**
   * Online: after the cutover, follow the target and apply what is written there to the source (`keep`), until there is no
   * way back wanted any more (`drop`), or it is taken (`return`).
   */
  rollback: z.enum(["drop", "keep", "return"]).default("drop"),
  /** Tables copied, and indexes built, at the same time; by both servers' settings where undefined. */
  tableJobs: wholeNumber("a number", 1, 64).optional(),
  indexJobs: wholeNumber("a number", 1, 64).optional(),
  /** Processes that share the copy, each with its own jobs. */
  workers: wholeNumber("a number", 1, maxWorkers).default(1),
  /** Larger tables are copied in parts. */
  splitTablesLargerThan: byteSize.default(10 * 1024 ** 3),
  include: filterSchema.default({}),
  exclude: filterSchema.default({}),
  schemaOnly: switchSchema.default(false),
  dataOnly: switchSchema.default(false),
  /** Names on the target by names on the source, for those that change. */
  databaseNames: z.record(z.string(), databaseName).default({}),
  migrateRoles: switchSchema.default(false),
  /** Online, tables whose rows nothing names: follow their inserts only, or set REPLICA IDENTITY FULL for the while. */
  keylessTables: z.enum(["insertsOnly", "full"]).default("insertsOnly"),
  /** Online: how the source tells of its changes; by its version unless given. */
  decodingPlugin: z.enum(["pgoutput", "test_decoding"]).optional(),
  /** Online: whether the cutover makes the source's databases read only and ends the sessions there. */
  fence: z.enum(["none", "readOnly"]).default("none"),
  /** Online: for how long, in seconds, a cutover compares content; the rest of the tables is counted. */
  cutoverVerificationBudget: duration.default(300),
  /** Online: by how many steps sequences are ahead on the target after the cutover. */
  sequenceMargin: wholeNumber("a number of steps", 0, 1_000_000_000).default(0),
  /** Online: how long, in seconds, a lost server is waited for. */
  reconnectFor: duration.default(600),
  /** Online: how much WAL the source may keep for a slot of ours, and what then becomes of the database. */
  maxRetainedWal: byteSize.optional(),
  onMaxRetainedWal: z.enum(["pause", "cancel"]).default("pause"),
  maintenanceDatabase: databaseName.default("postgres"),
  runner: z.enum(["local", "external"]).optional(),
  waitFor: z.enum(["started", "cutoverReady", "succeeded"]).optional(),
  /** What `create` does with a record that has ended, or belongs to another owner. */
  onExistingRecord: z.enum(["refuse", "adopt", "restart"]).default("refuse"),
  timeouts: timeoutsSchema.default({}),
  webhook: webhookSchema.optional(),
  /** Set by the resource class: a newer package makes a difference, so that the provider's text in the state is renewed. */
  engineVersion: z.string().default(""),
  /** Set by the resource class: where live progress is shown. */
  resourceUrn: z.string().default(""),
});

/** Inputs with their defaults, under the keys that the program used. */
export type DeclaredInputs = z.output<typeof inputsSchema>;

/** The keys that say in other words what `source`, `target` and `runner` say. */
const synonyms = [
  "sourceDbServerResourceId",
  "sourceDbServerFullyQualifiedDomainName",
  "targetDbServerResourceId",
  "targetDbServerFullyQualifiedDomainName",
  "secretParameters",
  "sourceServerUsername",
  "targetServerUsername",
  "sslMode",
  "migrationInstanceResourceId",
  "migrationRuntimeResourceId",
] as const satisfies readonly (keyof DeclaredInputs)[];

/** What the engine works with: both servers complete, whichever keys they were given by. */
export interface Inputs extends Omit<DeclaredInputs, (typeof synonyms)[number] | "source" | "target" | "runner"> {
  readonly source: Endpoint;
  readonly target: Endpoint;
  readonly runner: "local" | "external";
}

export function inputsOf(declared: DeclaredInputs, servers: Pick<Inputs, "source" | "target">): Inputs {
  const plain = Object.fromEntries(
    Object.entries(declared).filter(([key]) => !synonyms.some((synonym) => synonym === key)),
  ) as Omit<DeclaredInputs, (typeof synonyms)[number]>;
  const runtimeServer = declared.migrationInstanceResourceId ?? declared.migrationRuntimeResourceId;
  const runner = declared.runner ?? (runtimeServer === undefined ? "local" : "external");
  return { ...plain, ...servers, runner };
}

/** A server as it may be recorded and shown. */
export type PublicEndpoint = Omit<Endpoint, "password" | "passwordCommand">;

/** What goes into the store: everything but secrets, and what only this machine's Pulumi cares about. */
export interface MigrationSpec extends Omit<
  Inputs,
  "source" | "target" | "webhook" | "timeouts" | "waitFor" | "onExistingRecord" | "engineVersion" | "resourceUrn"
> {
  readonly source: PublicEndpoint;
  readonly target: PublicEndpoint;
}

/** The spec without secrets, as the store keeps it. A password's command may hold one, too. */
export function specOf(inputs: Inputs): MigrationSpec {
  const { webhook: _webhook, timeouts: _timeouts, waitFor: _waitFor, ...kept } = inputs;
  const { onExistingRecord: _onExisting, engineVersion: _engine, resourceUrn: _urn, ...rest } = kept;
  return { ...rest, source: publicEndpoint(inputs.source), target: publicEndpoint(inputs.target) };
}

const {
  timeouts: _timeouts,
  onExistingRecord: _onExisting,
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

/** A spec from the store: one that an earlier version has recorded knows nothing of the inputs that came later. */
export const completeSpec = (spec: MigrationSpec): MigrationSpec => ({ ...defaults, ...spec });

export function publicEndpoint({ password: _password, passwordCommand: _command, ...shown }: Endpoint): PublicEndpoint {
  return shown;
}
