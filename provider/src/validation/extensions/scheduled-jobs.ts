import type { Client } from "pg";
import { sqlStateOf, sqlStates } from "../../postgres/sql-state.js";
import type { Finding } from "../../findings.js";
import type { Rule } from "../context.js";
import { enumerate } from "../../units/enumerate.js";
import { extensionTable } from "./extension-table.js";

/** An extension that runs jobs by itself. */
interface Scheduler {
  readonly name: string;
  readonly table: readonly [name: string, schema: string | undefined];
  /** Returns the jobs in a column `name`. */
  readonly query: (table: string) => string;
  readonly remedy: string;
}

const schedulers: readonly Scheduler[] = [
  {
    name: "pg_cron",
    table: ["job", "cron"],
    query: (table) => `SELECT format('%s (%s)', jobid, schedule) AS name FROM ${table} WHERE active ORDER BY jobid`,
    remedy:
      "on the target, keep jobs off until the cutover: UPDATE cron.job SET active = false; schedule missing ones with cron.schedule_in_database, in the database of cron.database_name",
  },
  {
    name: "pg_partman",
    table: ["part_config", undefined],
    query: (table) => `SELECT parent_table::text AS name FROM ${table} ORDER BY 1`,
    remedy:
      "on the target, run partman.run_maintenance only after the cutover: set pg_partman_bgw.dbname then, or schedule it with pg_cron",
  },
];

/** Jobs of extensions: they have to run on one server only, and on the target only after the cutover. */
export const scheduledJobs: Rule = async ({ sources }) => {
  const findings: Finding[] = [];
  for (const [database, source] of sources)
    for (const scheduler of schedulers) {
      const jobs = await jobsOf(source, scheduler);
      if (jobs.length === 0) continue;
      findings.push({
        ...{ database, type: "ExtensionsValidation", objectType: "Database", object: scheduler.name },
        ...{ state: "Warning", code: "PGM-442" },
        message: `${scheduler.name} has jobs in ${database}: ${enumerate(jobs, 20)}; they may run on both servers, or have to be created again on the target`,
        remedy: scheduler.remedy,
      });
    }
  return findings;
};

async function jobsOf(source: Client, { table: [name, schema], query }: Scheduler): Promise<string[]> {
  const table = await extensionTable(source, name, schema);
  if (table === undefined) return [];
  try {
    const { rows } = await source.query<{ name: string }>(query(table));
    return rows.map((row) => row.name);
  } catch (error) {
    if (sqlStateOf(error) === sqlStates.insufficientPrivilege) return [`${table} is not readable for this role`];
    throw error;
  }
}
