import type { Client } from "pg";
import type { Problem } from "../findings.js";
import type { MigrationSpec } from "../inputs/inputs.js";
import type { Endpoint } from "../postgres/connection/endpoint.js";
import { serverVersion } from "../postgres/server-version.js";
import type { SourceContext, SourceRule } from "./context.js";
import { distributedTables } from "./extensions/distributed-tables.js";
import { objects } from "./objects/objects.js";
import { publicationPrivileges } from "./replication/logical-replication.js";
import { sourcePrivileges } from "./servers/access.js";

const rules: readonly SourceRule[] = [sourcePrivileges, distributedTables, objects];

/** A database of the source, and how it would be migrated. */
export interface SourceDatabase {
  readonly source: Endpoint;
  readonly database: string;
  readonly session: Client;
  readonly migrationMode: MigrationSpec["migrationMode"];
}

/**
 * What would block the migration of a database, as far as the source's catalogue shows it in a few queries. The target
 * is assumed to be the latest version, with an administrator who is not a superuser. Nothing changes.
 *
 * @throws the errors of a lost connection
 * @example await sourceBlockers({ source, database: "crm", session, migrationMode: "Online" })
 */
export async function sourceBlockers({ source, database, session, migrationMode }: SourceDatabase): Promise<Problem[]> {
  const context: SourceContext = {
    spec: { source, migrationMode, schemaOnly: false, include: {}, exclude: {} },
    sources: new Map([[database, session]]),
    sourceVersion: await serverVersion(session),
    targetVersion: Infinity,
    targetSuperuser: false,
  };
  const findings = migrationMode === "Online" ? await publicationPrivileges(database, session, source.user) : [];
  for (const rule of rules) findings.push(...(await rule(context)));
  return findings.flatMap((finding) => (finding.state === "Failed" ? [finding] : []));
}
