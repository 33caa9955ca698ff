import type { Client } from "pg";
import { sqlStateOf, sqlStates } from "../../postgres/sql-state.js";
import { readSelection } from "../../schema/plan/selection.js";
import type { Finding } from "../../findings.js";
import type { SourceRule } from "../context.js";
import { enumerate } from "../../units/enumerate.js";
import type { ObjectCheck } from "./object-check.js";
import { omittedObjects } from "./omitted-objects.js";
import { refusedRows } from "./refused-rows.js";
import { removedFeatures } from "./removed-features.js";
import { superuserObjects } from "./superuser-objects.js";

const checks: readonly ObjectCheck[] = [...removedFeatures, ...refusedRows, ...omittedObjects];

/** Shows all names, except in databases with thousands of them. */
const maxNames = 100;

/** Reports objects that will be missing or different on the target, before the copy. */
export const objects: SourceRule = async ({ sources, spec, sourceVersion, targetVersion, targetSuperuser }) => {
  const findings: Finding[] = [];
  const concerned = targetSuperuser ? checks : [...checks, ...superuserObjects];
  for (const [database, client] of sources) {
    const { cut } = await readSelection(client, spec);
    for (const check of concerned) {
      if (check.onlineOnly && spec.migrationMode === "Offline") continue;
      if (check.rowsOnly && spec.schemaOnly) continue;
      if (sourceVersion < (check.from ?? 0) || targetVersion < (check.to ?? 0)) continue;
      const names = await namesOf(client, check.query, cut);
      if (names.length === 0) continue;
      findings.push({
        database,
        type: "SchemaValidation",
        state: check.state ?? "Warning",
        code: check.code,
        object: names[0],
        objectType: "Database",
        message: check.message(enumerate(names, maxNames)),
        remedy: check.remedy,
      });
    }
  }
  return findings;
};

async function namesOf(client: Client, query: string, cut: ReadonlySet<string>): Promise<string[]> {
  // A role without access to a catalogue (pg_subscription for ordinary roles) cannot read its objects.
  const { rows } = await client.query<{ name: string; key?: string }>(query).catch((error: unknown) => {
    if (sqlStateOf(error) === sqlStates.insufficientPrivilege) return { rows: [] };
    throw error;
  });
  return rows.filter((row) => row.key === undefined || !cut.has(row.key)).map(({ name }) => name);
}
