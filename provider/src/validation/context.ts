import type { Client } from "pg";
import type { MigrationSpec } from "../inputs/inputs.js";
import type { Endpoint } from "../postgres/connection/endpoint.js";
import type { KeptDumps } from "../schema/dump/kept-dumps.js";
import type { Finding } from "../findings.js";
import type { Platform } from "../platforms/platform.js";

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
  readonly sourcePlatform: Platform;
  readonly sourceVersion: number;
  readonly targetVersion: number;
  /** Whether the source's role is a superuser there. */
  readonly sourceSuperuser: boolean;
  /** Whether the target's role is a superuser there. */
  readonly targetSuperuser: boolean;
  /** Databases on the target created by an earlier attempt of this migration. They do not count as existing. */
  readonly ownDatabases: ReadonlySet<string>;
  /** Receives the dumps of the rehearsal, for a copy that follows. */
  readonly keptDumps?: KeptDumps | undefined;
  /** Databases in use by other migrations into this target, with the migration's name. */
  readonly occupied: ReadonlyMap<string, string>;
}

/** The input of rules about the source that need no session on the target. */
export interface SourceContext extends Pick<
  ValidationContext,
  "sources" | "sourceVersion" | "targetVersion" | "targetSuperuser"
> {
  readonly spec: Pick<MigrationSpec, "source" | "migrationMode" | "schemaOnly" | "include" | "exclude">;
}

/** A {@link Rule} about the source that needs no session on the target. */
export type SourceRule = (context: SourceContext) => Promise<Finding[]>;

/** Returns its findings, or one Succeeded finding about what was checked. */
export type Rule = (context: ValidationContext) => Finding[] | Promise<Finding[]>;
