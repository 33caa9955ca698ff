import type { Client } from "pg";
import type { MigrationSpec } from "../inputs/inputs.js";
import type { Endpoint } from "../postgres/connection/endpoint.js";
import type { Finding } from "../findings.js";

/** The input of the rules. Sessions are open while the rules run. */
export interface ValidationContext {
  readonly spec: MigrationSpec;
  /** Login of the source, for other kinds of sessions. */
  readonly source: Endpoint;
  /** Login of the target. */
  readonly targetEndpoint: Endpoint;
  /** One session per database of the source. Unreachable databases are missing. */
  readonly sources: ReadonlyMap<string, Client>;
  /** A session in the target's maintenance database. */
  readonly target: Client;
  readonly sourceVersion: number;
  readonly targetVersion: number;
  /** Whether the source's role is a superuser there. */
  readonly sourceSuperuser: boolean;
  /** Whether the target's role is a superuser there. */
  readonly targetSuperuser: boolean;
  /** Databases on the target created by an earlier attempt of this migration. They do not count as existing. */
  readonly ownDatabases: ReadonlySet<string>;
  /** Databases in use by other migrations into this target, with the migration's name. */
  readonly occupied: ReadonlyMap<string, string>;
}

/** Returns its findings, or one Succeeded finding about what was checked. */
export type Rule = (context: ValidationContext) => Finding[] | Promise<Finding[]>;
