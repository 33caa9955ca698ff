import { z } from "zod";

const time = (meaning: string): z.ZodString => z.string().describe(`${meaning}, in UTC as ISO 8601`);
const lsn = (meaning: string): z.ZodOptional<z.ZodString> => z.string().optional().describe(meaning);

const serverSchema = z.object({
  host: z.string().describe("host name or address"),
  port: z.number().describe("TCP port"),
  user: z.string().describe("role of the migration; no password is recorded"),
  sslMode: z.string().describe("TLS mode, as libpq's sslmode"),
  version: z.string().optional().describe("version of PostgreSQL; absent before the first login"),
  storageMb: z.number().optional().describe("size of all databases at the start, in units of 1024 x 1024 bytes"),
});

const changes = z
  .object({
    inserts: z.number().describe("inserted rows"),
    updates: z.number().describe("updated rows"),
    deletes: z.number().describe("deleted rows"),
  })
  .optional()
  .describe("online: numbers of changes that are applied since the copy");

const databaseSchema = z.object({
  name: z.string().describe("name on the source"),
  targetName: z.string().describe("name on the target"),
  state: z.string().describe("state of this database, with Azure's name"),
  phase: z.string().describe("phase: queued, copying, following, completing, rollingBack, returned, canceled or done"),
  message: z.string().optional().describe("current activity, or the error of a failed database"),
  startedOn: time("start of the work on this database; absent before it").optional(),
  endedOn: time("its end; absent before it").optional(),
  snapshotLsn: lsn("position in the source's WAL as of which the rows were copied; absent if it is unknown"),
  cutoverLsn: lsn(
    "online: position in the source's WAL up to which all changes were applied; absent before the cutover",
  ),
  changes,
});

const tableSchema = z.object({
  database: z.string().describe("name of the database on the source"),
  schema: z.string().describe("schema of the table"),
  table: z.string().describe("name of the table, without quotes"),
  state: z
    .enum(["queued", "loading", "completed", "errored", "streamed"])
    .describe("state of the initial copy; `streamed`: it was created or added while changes were replicated"),
  rowsCopied: z.number().describe("rows of the initial copy"),
  bytesCopied: z.number().describe("bytes of the initial copy, as sent by COPY"),
  changes,
  error: z.string().optional().describe("why its copy failed, or was postponed"),
  comparison: z
    .object({
      result: z.enum(["equal", "different"]).describe("whether both servers had the same rows"),
      by: z.enum(["content", "counts"]).describe("what was compared: every stored value, or only the number of rows"),
      occasion: z
        .enum(["copy", "cutover", "verification", "return"])
        .describe(
          "when: after an offline copy, at the cutover, during the replication, or at the return to the source",
        ),
      lsn: lsn(
        "position in the source's WAL as of which the rows were compared; for `return`, in the target's WAL; absent if it is unknown",
      ),
      at: time("time of the comparison"),
      sourceRows: z.number().describe("rows on the source"),
      targetRows: z.number().describe("rows on the target"),
      firstDifferences: z
        .array(
          z.object({
            key: z.string().describe("key of the row, or the row"),
            kind: z.string().describe("`missing`, `unexpected` or `different` on the target"),
          }),
        )
        .optional()
        .describe("the first rows that differ"),
    })
    .optional()
    .describe("the last comparison; absent if the table was not compared"),
});

const sequenceSchema = z.object({
  database: z.string().describe("name of the database on the source"),
  schema: z.string().describe("schema of the sequence"),
  sequence: z.string().describe("name of the sequence, without quotes"),
  lastValue: z.string().describe("the value that it received, as decimal text, because it may have 64 bits"),
  isCalled: z.boolean().describe("whether that value was already handed out"),
  setOn: z.enum(["source", "target"]).describe("the server that received it: the source after a return"),
  at: time("when it was set"),
});

const notMigratedSchema = z.object({
  database: z.string().optional().describe("absent for objects of the whole server, such as roles"),
  kind: z.string().optional().describe("kind of object, unless the name has it"),
  object: z.string().optional().describe("its name, or the names of several"),
  reason: z.string().describe("why the target does not get it"),
  code: z.string().optional().describe("code of the finding, if there is one"),
  remedy: z.string().optional().describe("what to do about it"),
});

const findingSchema = z.object({
  status: z
    .enum(["open", "resolved", "unconfirmed", "passed"])
    .describe(
      "`open`: still true. `resolved`: a later check no longer found it. `unconfirmed`: an earlier attempt found it, and no later one checked it yet. `passed`: a check without problems",
    ),
  severity: z.enum(["Failed", "Warning", "Succeeded"]).describe("`Failed` blocks the migration"),
  code: z.string().optional().describe("code, explained in docs/findings.md"),
  database: z.string().optional().describe("absent if it concerns the whole server"),
  object: z.string().optional().describe("the object that it concerns"),
  message: z.string().describe("what was found"),
  remedy: z.string().optional().describe("what to do about it"),
  reportedOn: time("when the attempt reported it"),
  reportedDuring: z.string().optional().describe("substate of the migration at that time"),
  withdrawnOn: time(
    "when the check was repeated, or the next attempt started; absent for `open` and `passed`",
  ).optional(),
});

/** A report of a whole migration. docs/report.md explains every field. */
export const reportSchema = z.object({
  formatVersion: z.literal(1).describe("version of this format; it increases if a field changes its meaning"),
  generatedOn: time("when the report was made"),
  generatedBy: z.string().describe("the program and its version"),
  migration: z
    .object({
      id: z.string().describe("unique identifier: target and name"),
      name: z.string().describe("name of the migration"),
      mode: z.enum(["Offline", "Online"]).describe("migrationMode"),
      option: z.enum(["Validate", "Migrate", "ValidateAndMigrate"]).describe("migrationOption"),
      state: z.string().describe("state, with Azure's name"),
      subState: z.string().describe("substate, with Azure's name"),
      reachedSubState: z.string().optional().describe("the last substate with progress"),
      error: z.string().optional().describe("why it failed"),
      startedOn: time("start"),
      endedOn: time("end; absent before it").optional(),
      workerVersion: z.string().optional().describe("version of the last worker"),
      workerHost: z.string().optional().describe("machine of the last worker"),
    })
    .describe("the migration and its state"),
  source: serverSchema.describe("the server that was migrated"),
  target: serverSchema.describe("the server that was migrated to"),
  inputs: z.record(z.string(), z.unknown()).describe("the inputs as recorded, with defaults and without secrets"),
  databases: z.array(databaseSchema).describe("the databases by name"),
  tables: z.array(tableSchema).describe("every table by database, schema and name"),
  sequences: z.array(sequenceSchema).describe("every sequence whose value was carried to the other server"),
  notMigrated: z.array(notMigratedSchema).describe("objects, rows and privileges that the target does not get"),
  findings: z.array(findingSchema).describe("results of all checks, also of earlier attempts"),
  targetCheck: z
    .object({
      at: time("time of the check"),
      isComplete: z.boolean().describe("whether all databases could be read"),
      problems: z
        .array(
          z.object({
            severity: z.enum(["Failed", "Warning"]).describe("`Failed`: correct it before applications use the target"),
            code: z.string().describe("code, explained in docs/findings.md"),
            database: z.string().optional().describe("database of the target; absent for the server"),
            object: z.string().optional().describe("the object that it concerns"),
            message: z.string().describe("what was found"),
            remedy: z.string().optional().describe("what to do about it"),
          }),
        )
        .describe("its findings"),
    })
    .optional()
    .describe("the last result of pg-migration check-target; absent if it never ran"),
  cutover: z
    .array(
      z.object({
        database: z.string().describe("name of the database on the source"),
        step: z.string().describe("name of the step"),
        seconds: z.number().describe("its duration"),
      }),
    )
    .describe("steps of the cutovers and returns, in their order"),
  timeline: z
    .array(
      z.object({
        at: time("time of the change"),
        database: z.string().optional().describe("absent for the state of the whole migration"),
        state: z.string().describe("the new state"),
        subState: z.string().describe("the new substate, or the phase of the database"),
        error: z.string().optional().describe("the error of a failure"),
      }),
    )
    .describe("changes of the state of the migration and its databases, in their order"),
  events: z
    .array(
      z.object({
        at: time("time of the line"),
        level: z.enum(["info", "warning", "error"]).describe("importance"),
        database: z.string().optional().describe("absent if it concerns the whole migration"),
        message: z.string().describe("text of the line"),
      }),
    )
    .describe("the last 2,000 lines of the workers' log, in their order"),
  eventsOmitted: z.number().describe("number of older lines of the log that the report does not contain"),
});

export type MigrationReport = z.output<typeof reportSchema>;
