import * as pulumi from "@pulumi/pulumi";
import type { SslMode } from "./postgres/connect.js";
import type { MigrationStatus } from "./status.js";
import { engineVersion } from "./engine-version.js";

/** A PostgreSQL server, and the role that logs in there. */
export interface ServerArgs {
  /** Host name or address. */
  readonly host: pulumi.Input<string>;
  /** Default 5432. */
  readonly port?: pulumi.Input<number> | undefined;
  readonly user: pulumi.Input<string>;
  /** Kept as a secret in the state, whether it is given as one or not. */
  readonly password: pulumi.Input<string>;
  /** As libpq's sslmode; default Prefer. */
  readonly sslMode?: pulumi.Input<SslMode> | undefined;
  /** PEM text, or the path of a file, of the certificates to trust. */
  readonly sslRootCert?: pulumi.Input<string> | undefined;
}

export interface PgMigrationArgs {
  /** The server to migrate from: PostgreSQL 9.5 or later, anywhere. */
  readonly source: pulumi.Input<ServerArgs>;
  /** The server to migrate to, not older than the source. Its role needs CREATEDB. */
  readonly target: pulumi.Input<ServerArgs>;
  /** Databases of the source; they keep their names. */
  readonly dbsToMigrate: pulumi.Input<pulumi.Input<string>[]>;
  /** Letters, digits and hyphens; unique on the target. Default: the resource's name. */
  readonly migrationName?: pulumi.Input<string> | undefined;
  /** Offline (default) copies once; Online follows the source's changes until the cutover. */
  readonly migrationMode?: pulumi.Input<"Offline" | "Online"> | undefined;
  /** Default ValidateAndMigrate, which goes on after a validation that has Succeeded or given a Warning. */
  readonly migrationOption?: pulumi.Input<"Validate" | "Migrate" | "ValidateAndMigrate"> | undefined;
  /** Replace databases that exist on the target. Default false: they are a finding. */
  readonly overwriteDbsInTarget?: pulumi.Input<boolean> | undefined;
  /** Set to true in an update: apply what the source has committed until now, compare, and finish. Online only. */
  readonly triggerCutover?: pulumi.Input<boolean> | undefined;
  /** What is compared between source and target: every row's content (default), row counts, or nothing. */
  readonly verification?: pulumi.Input<"none" | "counts" | "content"> | undefined;
  /** Tables copied at the same time. Default 4. */
  readonly tableJobs?: pulumi.Input<number> | undefined;
  /** Indexes built at the same time. Default 4. */
  readonly indexJobs?: pulumi.Input<number> | undefined;
  /** The target's database that holds the migration's records. Default postgres. */
  readonly maintenanceDatabase?: pulumi.Input<string> | undefined;
  /** How long an operation may take before it gives up waiting; the worker goes on. Default seven days. */
  readonly timeouts?:
    pulumi.Input<{ createSeconds?: number; updateSeconds?: number; deleteSeconds?: number }> | undefined;
}

/**
 * Serialized into the state as text and run from there, later, by other versions of this package: its form is a state
 * format. Each method finds the installed package by name; nothing here may be captured from this file.
 */
/* eslint-disable @typescript-eslint/no-require-imports, @typescript-eslint/no-unsafe-member-access,
   @typescript-eslint/no-unsafe-call, @typescript-eslint/no-unsafe-return */
const provider: pulumi.dynamic.ResourceProvider = {
  check: (olds, news) => require("pulumi-pg-migration").provider.check(olds, news),
  diff: (id, olds, news) => require("pulumi-pg-migration").provider.diff(id, olds, news),
  create: (inputs) => require("pulumi-pg-migration").provider.create(inputs),
  read: (id, props) => require("pulumi-pg-migration").provider.read(id, props),
  update: (id, olds, news) => require("pulumi-pg-migration").provider.update(id, olds, news),
  delete: (id, props) => require("pulumi-pg-migration").provider.delete(id, props),
};
/* eslint-enable */

/**
 * A migration of PostgreSQL databases from one server into another.
 *
 * Creating it migrates; `triggerCutover: true`, in an update, cuts an online migration over; a refresh shows live status;
 * destroying it stops the worker and removes all but the migrated data.
 */
export class PgMigration extends pulumi.dynamic.Resource {
  /** State, substate, and details by database, under the names of Azure's migration service. */
  declare readonly currentStatus: pulumi.Output<MigrationStatus>;
  declare readonly migrationName: pulumi.Output<string>;

  constructor(name: string, args: PgMigrationArgs, opts?: pulumi.CustomResourceOptions) {
    super(
      provider,
      name,
      {
        currentStatus: undefined,
        ...args,
        migrationName: args.migrationName ?? name,
        source: withSecretPassword(args.source),
        target: withSecretPassword(args.target),
        engineVersion,
        resourceUrn: pulumi.createUrn(name, `pulumi-nodejs:dynamic/${moduleName}:${typeName}`, opts?.parent),
      },
      opts,
      moduleName,
      typeName,
    );
  }
}

const moduleName = "pg-migration";
const typeName = "PgMigration";

/** Secret even when the program forgets to say so. An object that is itself an output becomes a secret as a whole. */
function withSecretPassword(server: pulumi.Input<ServerArgs>): pulumi.Input<ServerArgs> {
  const isPlain = !pulumi.Output.isInstance(server) && !(server instanceof Promise);
  if (isPlain) return { ...server, password: pulumi.secret(server.password) };
  return pulumi.secret(server);
}
