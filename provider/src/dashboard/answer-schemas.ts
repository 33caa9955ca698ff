import { z } from "zod";
import type { EventRecord } from "../store/read-events.js";
import type { TableRecord } from "../store/read-tables.js";
import type { Sample } from "../units/rates.js";
import type { MigrationSummary } from "../resource/summary/migration-summary.js";
import type { FleetRow } from "../fleet/fleet-rows.js";
import type { MigrationListItem } from "../fleet/list-overviews.js";
import type { ListProblem } from "../fleet/target.js";
import type { ListedDatabase, StartedMigration } from "./messages.js";

/** The answers of the API. The compiler compares them with the types of what is sent; OpenAPI is generated from them. */

const overviewSchema = z.object({
  subState: z.string().describe("Azure's currentSubState"),
  percent: z.number().describe("of the base copy"),
  lagBytes: z.number().nullable().describe("last value measured; null while no database is followed"),
  lagSeconds: z.number().nullable(),
  different: z.number().describe("tables found to differ"),
});

const migrationShape = {
  id: z.string(),
  name: z.string(),
  migrationMode: z.enum(["Offline", "Online"]),
  migrationOption: z.enum(["Validate", "Migrate", "ValidateAndMigrate"]),
  sourceType: z.string(),
  sourceDbServerResourceId: z.string().describe("host:port@user"),
  sourceDbServerFullyQualifiedDomainName: z.string(),
  targetDbServerFullyQualifiedDomainName: z.string(),
  dbsToMigrate: z.array(z.string()).readonly(),
  overwriteDbsInTarget: z.boolean(),
  tags: z.record(z.string(), z.string()),
  startedOn: z.string().describe("ISO 8601"),
  endedOn: z.string().optional().describe("ISO 8601; absent before the end"),
  currentStatus: z.looseObject({ state: z.string().optional() }).describe("as the resource's output currentStatus"),
};

const findingsSchema = z
  .array(
    z.object({
      state: z.enum(["Failed", "Warning"]),
      code: z.string().nullable(),
      meaning: z.string(),
      remedy: z.string().nullable(),
    }),
  )
  .readonly()
  .describe("what the migration reports, once for each code");

export const migrationSchema = z.object(migrationShape);

export const migrationListSchema = z.array(
  z.object({
    ...migrationShape,
    hadWorker: z.boolean().describe("whether a worker was recorded since the last start"),
    overview: overviewSchema.optional(),
    findings: findingsSchema,
  }),
);

const fleetRowSchema = z.object({
  target: z.string().describe("name in the list"),
  server: z.string().describe("host:port"),
  migration: z.string().nullable().describe("null for a target without a migration"),
  databases: z.array(z.string()).readonly(),
  state: z.string().nullable(),
  subState: z.string().nullable(),
  worker: z.enum(["running", "lost", "ended"]).nullable(),
  percent: z.number().nullable().describe("of the base copy; null after the end"),
  lagBytes: z.number().nullable(),
  lagSeconds: z.number().nullable(),
  different: z.number().describe("tables found to differ"),
  error: z.string().nullable(),
  unreachable: z.string().nullable().describe("why the target cannot be read; other values are then as of readAt"),
  rank: z.number().describe("0 failed, 1 without a worker, 2 unreachable, 3 waiting for the user, 4 running, 5 other"),
  readAt: z.number().nullable().describe("milliseconds since 1970; null if the target was never read"),
  startedOn: z.string().nullable(),
  findings: findingsSchema,
});

export const fleetSchema = z.object({
  problems: z.array(z.object({ place: z.string(), reason: z.string() })).describe("wrong entries of the list"),
  listFailure: z.string().describe("why the list cannot be read again; empty if it can"),
  rows: z.array(fleetRowSchema).describe("those that need a user first"),
});

export const tablesSchema = z.array(
  z.object({
    database: z.string(),
    schema: z.string(),
    table: z.string(),
    state: z.enum(["queued", "loading", "completed", "errored"]),
    bytesCopied: z.number(),
    bytesTotal: z.number(),
    rowsCopied: z.number(),
    rowsEstimated: z.number(),
    inserts: z.number().describe("inserts that are applied since the copy"),
    updates: z.number(),
    deletes: z.number(),
    indexesCompleted: z.number(),
    indexesTotal: z.number(),
    equal: z.boolean().nullable().describe("null before the table is compared"),
    by: z.enum(["content", "counts"]).nullable(),
    sourceRows: z.number().nullable(),
    targetRows: z.number().nullable(),
    differences: z.unknown().describe("the first rows that differ"),
    error: z.string().nullable(),
  }),
) satisfies z.ZodType<readonly TableRecord[]>;

export const eventsSchema = z.array(
  z.object({
    id: z.number().describe("increases with time"),
    at: z.string().describe("ISO 8601"),
    database: z.string().optional(),
    level: z.enum(["info", "warning", "error"]),
    message: z.string(),
  }),
);

export const historySchema = z.array(
  z.object({
    atMs: z.number().describe("milliseconds since 1970"),
    bytesCopied: z.number(),
    bytesTotal: z.number(),
    lagBytes: z.number(),
    latencySeconds: z.number(),
  }),
) satisfies z.ZodType<readonly Sample[]>;

export const sourceDatabasesSchema = z.array(
  z.object({
    name: z.string(),
    bytes: z.number().nullable().describe("null if the role may not know it"),
    tables: z.number().nullable().describe("null if the database cannot be read"),
    unreadable: z.string().nullable().describe("why the database cannot be read"),
    blockers: z.array(z.string()).readonly(),
  }),
) satisfies z.ZodType<readonly ListedDatabase[]>;

const serverSchema = z.object({ host: z.string(), port: z.number(), version: z.string() });

export const summarySchema = z.object({
  migrationName: z.string(),
  migrationMode: z.enum(["Offline", "Online"]),
  source: serverSchema,
  target: serverSchema,
  databases: z
    .array(
      z.object({
        name: z.string(),
        targetName: z.string(),
        bytes: z.number().nullable(),
        existsOnTarget: z.boolean(),
      }),
    )
    .readonly(),
  findings: z
    .array(
      z.object({
        state: z.enum(["Failed", "Warning", "Succeeded"]),
        code: z.string().optional(),
        database: z.string().optional(),
        object: z.string().optional(),
        message: z.string(),
        remedy: z.string().optional(),
      }),
    )
    .readonly(),
  secondsEstimated: z.number().nullable().describe("of the copy of the rows; null if a size is unknown"),
});

export const startedMigrationSchema = z.object({
  name: z.string(),
  workerFailure: z.string().nullable().describe("why no worker started; null if one did"),
}) satisfies z.ZodType<StartedMigration>;

export const errorSchema = z.object({ error: z.string() });

/** Fails to compile when the first type lacks a property of the second. */
type Covers<Sent, Described> = [Sent] extends [Described] ? true : never;
true satisfies Covers<MigrationListItem[], z.input<typeof migrationListSchema>>;
true satisfies Covers<EventRecord[], z.input<typeof eventsSchema>>;
true satisfies Covers<MigrationSummary, z.input<typeof summarySchema>>;
true satisfies Covers<FleetRow, z.input<typeof fleetRowSchema>>;
true satisfies Covers<ListProblem, z.input<typeof fleetSchema>["problems"][number]>;
