import type { Client } from "pg";
import type { Finding } from "../store/journal.js";
import type { Rule } from "./context.js";

interface Check {
  readonly code?: string;
  /** Answers names in a column `name`. */
  readonly query: string;
  readonly onlineOnly?: true;
  readonly message: (names: string) => string;
  readonly remedy: string;
}

const checks: readonly Check[] = [
  {
    code: "603404",
    query: `SELECT format('%I.%I', n.nspname, c.relname) AS name FROM pg_class c
              JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE (to_jsonb(c) ->> 'relhasoids')::bool AND c.relkind = 'r' AND n.nspname !~ '^pg_'`,
    message: (names) =>
      `these tables were made WITH OIDS, which PostgreSQL 12 has given up: ${names}; their oid column is not migrated`,
    remedy: "ALTER TABLE ... SET WITHOUT OIDS on the source, after copying what refers to the oids",
  },
  {
    query:
      "SELECT subname AS name FROM pg_subscription WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())",
    message: (names) => `subscriptions are not migrated, since they would pull from their publisher twice: ${names}`,
    remedy: "create them on the target with CREATE SUBSCRIPTION after the cutover, and drop them on the source",
  },
  {
    onlineOnly: true,
    query: "SELECT 'large object ' || oid AS name FROM pg_largeobject_metadata LIMIT 6",
    message: (names) => `large objects are copied once and not followed: ${names}`,
    remedy: "do not write large objects between start and cutover, or migrate offline",
  },
];

/** What does not arrive, or not as it was, is said before anything is copied. */
export const objects: Rule = async ({ sources, wish, sourceVersion }) => {
  const findings: Finding[] = [];
  for (const [database, client] of sources)
    for (const check of checks) {
      if (check.onlineOnly && wish.migrationMode === "Offline") continue;
      if (check.query.includes("pg_subscription") && sourceVersion < 100000) continue;
      const names = await namesOf(client, check.query);
      if (names.length === 0) continue;
      findings.push({
        database,
        type: "SchemaValidation",
        state: "Warning",
        ...(check.code ? { code: check.code } : {}),
        object: names[0],
        objectType: "Database",
        message: check.message(names.slice(0, 5).join(", ") + (names.length > 5 ? ", ..." : "")),
        remedy: check.remedy,
      });
    }
  return findings;
};

async function namesOf(client: Client, query: string): Promise<string[]> {
  // A role that may not look into a catalogue (pg_subscription for ordinary roles) does not see what is in it.
  const { rows } = await client.query<{ name: string }>(query).catch((error: unknown) => {
    if ((error as { code?: string }).code === "42501") return { rows: [] };
    throw error;
  });
  return rows.map(({ name }) => name);
}
