import { quoteIdentifier } from "../postgres/identifiers.js";
import type { Finding } from "../store/journal.js";
import { enumerate, type Rule } from "./context.js";

/** Roles that own something on the source or were granted something there, and are not on the target. */
export const owners: Rule = async ({ sources, target, wish }) => {
  if (wish.migrateRoles) return [];
  const { rows } = await target.query<{ name: string }>("SELECT rolname AS name FROM pg_roles");
  const there = new Set(rows.map(({ name }) => name));
  const findings: Finding[] = [];
  for (const [database, client] of sources) {
    const used = await client.query<{ name: string }>(
      `SELECT DISTINCT r.rolname AS name FROM pg_shdepend s JOIN pg_roles r ON r.oid = s.refobjid
        WHERE s.refclassid = 'pg_authid'::regclass AND r.rolname !~ '^pg_'
          AND s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
        ORDER BY 1`,
    );
    const missing = used.rows.map(({ name }) => name).filter((name) => !there.has(name));
    if (missing.length === 0) continue;
    findings.push({
      database,
      type: "SchemaValidation",
      state: "Warning",
      object: missing[0],
      objectType: "Database",
      message: `roles of ${database} that the target does not have: ${enumerate(missing)}; ${wish.target.user} will own their objects, their privileges and policies are left out`,
      remedy: `set migrateRoles to true, or on the target: ${missing
        .slice(0, 5)
        .map((name) => `CREATE ROLE ${quoteIdentifier(name)}`)
        .join("; ")}`,
    });
  }
  return findings;
};
