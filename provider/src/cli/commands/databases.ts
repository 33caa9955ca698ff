import type { Command } from "commander";
import pg from "pg";
import { formatTable } from "../../display/format-table.js";
import type { Problem } from "../../findings.js";
import { isMatchedByPatterns } from "../../inputs/database-patterns.js";
import type { MigrationSpec } from "../../inputs/inputs.js";
import { notExtensionMember, userSchemas } from "../../postgres/catalogue-filters.js";
import type { Endpoint } from "../../postgres/connection/endpoint.js";
import { withSession } from "../../postgres/connection/with-session.js";
import type { Database } from "../../postgres/databases.js";
import { formatBytes } from "../../units/byte-size.js";
import { escapeLine } from "../../units/terminal-text.js";
import { connectionFinding } from "../../validation/connection-finding.js";
import { sourceBlockers } from "../../validation/source-blockers.js";
import { wantedDatabases } from "../migration/wanted-databases.js";
import { addDatabasesOption, addModeOptions } from "../options/migration-inputs.js";
import { addSourceOptions, resolveSource, type SourceFlags } from "../options/server-options.js";
import { addOutputOption, print, type OutputFlags } from "../output/print.js";
import { formatFindings } from "../output/problem-lines.js";

interface Flags extends SourceFlags, OutputFlags {
  readonly databases?: readonly string[];
  readonly migrationMode?: MigrationSpec["migrationMode"];
}

/** What a session in a database shows. */
interface Content {
  /** Null if the database cannot be read. */
  readonly tables: number | null;
  readonly extensions: readonly string[];
  readonly blockers: readonly Problem[];
  /** Why the database cannot be read. */
  readonly unreadable: string | null;
}

type Listed = Omit<Database, "isClosed"> & { readonly matchedByPatterns: boolean } & Content;

const examples = `
Examples:
  pg-migration databases --source-service old
  pg-migration databases --source-service old --databases 'app_*' '!app_test' \\
    --migration-mode online --query "[?unreadable == null && length(blockers) == \`0\`].name" -o tsv

Blockers are what the source's catalogue shows in a few queries; validate finds
more. Changes nothing.`;

export function addDatabases(program: Command): void {
  const command = program
    .command("databases")
    .description("list the source's databases with size, extensions and blockers");
  addSourceOptions(addDatabasesOption(addModeOptions(command)));
  addOutputOption(command.optionsGroup("Options:"), "table").addHelpText("after", examples).action(databases);
}

async function databases(flags: Flags): Promise<void> {
  const source = await resolveSource(flags);
  const { migrationMode = "Offline" } = flags;
  const listed: Listed[] = [];
  for (const database of await wantedDatabases(source, flags.databases)) {
    const { isClosed: _isClosed, ...shown } = database;
    const content = await contentOf(source, database.name, migrationMode);
    listed.push({ ...shown, matchedByPatterns: isMatchedByPatterns(database), ...content });
  }
  await print(flags, listed, () => databasesTable(listed));
}

async function contentOf(
  source: Endpoint,
  database: string,
  migrationMode: MigrationSpec["migrationMode"],
): Promise<Content> {
  try {
    return await withSession(source, { database, purpose: "list databases" }, async (session) => {
      // A table that VACUUM FULL or ALTER TABLE locks must not hold up the list.
      await session.query("SET lock_timeout = '1s'");
      const { rows } = await session.query<Pick<Content, "tables" | "extensions">>(contentQuery);
      const blockers = await sourceBlockers({ source, database, session, migrationMode });
      return { ...rows[0]!, blockers, unreadable: null };
    });
  } catch (error) {
    const unknown = { tables: null, extensions: [] };
    if (error instanceof pg.DatabaseError) return { ...unknown, blockers: [], unreadable: error.message };
    const type = "AuthenticationAndConnectivityValidation";
    const finding = connectionFinding(error, "source", { database, object: database, objectType: "Database", type });
    return { ...unknown, blockers: [finding], unreadable: finding.message };
  }
}

/** Partitions count as tables; tables of extensions do not. */
const contentQuery = `
SELECT (SELECT count(*)::int FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind IN ('r', 'p') AND ${userSchemas("n")} AND ${notExtensionMember("pg_class", "c.oid")}) AS tables,
       ARRAY(SELECT extname::text FROM pg_extension WHERE extname <> 'plpgsql' ORDER BY 1) AS extensions`;

function databasesTable(listed: readonly Listed[]): string {
  const table = formatTable(
    ["Database", "Size", "Owner", "Encoding", "Collation", "Pattern", "Tables", "Extensions", "Blockers"],
    listed.map((one) => [
      one.name,
      one.bytes === null ? "?" : formatBytes(one.bytes),
      one.owner,
      one.encoding,
      one.collation,
      one.matchedByPatterns ? "yes" : "no",
      one.tables === null ? "?" : String(one.tables),
      one.extensions.join(", "),
      [...new Set(one.blockers.map(({ code }) => code))].join(", "),
    ]),
  );
  const unreadable = listed
    .filter(({ blockers, unreadable }) => unreadable !== null && blockers.length === 0)
    .map(({ name, unreadable }) => escapeLine(`${name} cannot be read: ${unreadable}`));
  const blockers = listed.flatMap((one) => one.blockers);
  const findings = blockers.length > 0 ? ["", formatFindings(blockers)] : [];
  return [table, ...(unreadable.length > 0 ? ["", ...unreadable] : []), ...findings].join("\n");
}
