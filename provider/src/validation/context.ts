import type { Client } from "pg";
import type { MigrationSpec } from "../inputs/inputs.js";
import type { Endpoint } from "../postgres/connection/endpoint.js";
import type { Finding } from "../findings.js";

/** What the rules look at. Sessions are open for as long as the rules run. */
export interface ValidationContext {
  readonly spec: MigrationSpec;
  /** How the source is reached, for what takes a session of another kind. */
  readonly source: Endpoint;
  /** How the target is reached. */
  readonly targetEndpoint: Endpoint;
  /** One session a database of the source; databases that could not be opened are missing. */
  readonly sources: ReadonlyMap<string, Client>;
  /** A session in the target's maintenance database. */
  readonly target: Client;
  readonly sourceVersion: number;
  readonly targetVersion: number;
  /** Whether the source's role is a superuser there. */
  readonly sourceSuperuser: boolean;
  /** Whether the target's role is a superuser there. */
  readonly targetSuperuser: boolean;
  /** Databases on the target that an earlier try of this migration has made: they do not count as existing. */
  readonly ownDatabases: ReadonlySet<string>;
  /** Databases that other migrations into this target are working on, with the migration's name. */
  readonly occupied: ReadonlyMap<string, string>;
}

/** Answers what it has found, or one Succeeded finding that says what was checked. */
export type Rule = (context: ValidationContext) => Finding[] | Promise<Finding[]>;

/** Names for a message: the first few, and how many more. */
export function enumerate(names: readonly string[], most = 5): string {
  const shown = names.slice(0, most).join(", ");
  return names.length > most ? `${shown} and ${names.length - most} more` : shown;
}
