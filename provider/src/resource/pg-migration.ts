import * as pulumi from "@pulumi/pulumi";
import { inputsFromArmBody } from "../inputs/arm-body.js";
import { engineVersion } from "../engine-version.js";
import type { SourceType } from "../inputs/inputs.js";
import type { SslMode } from "../postgres/connection/endpoint.js";
import type { MigrationStatus, ServerMetadata, TargetConnection } from "../status.js";

/** A PostgreSQL server, and the role that logs in there. What is left out may come from the ARM keys. */
export interface ServerArgs {
  /** Host name or address. */
  readonly host?: pulumi.Input<string> | undefined;
  /** Default 5432. */
  readonly port?: pulumi.Input<number> | undefined;
  readonly user?: pulumi.Input<string> | undefined;
  /** Kept as a secret in the state, whether it is given as one or not. */
  readonly password?: pulumi.Input<string> | undefined;
  /**
   * Instead of a password: a command of the machine that the worker runs on, run at each connection, that prints the
   * password. For tokens that are valid for an hour, of a migration that takes longer:
   * `az account get-access-token --resource-type oss-rdbms --query accessToken --output tsv`.
   */
  readonly passwordCommand?: pulumi.Input<string> | undefined;
  /** As libpq's sslmode; default Prefer. */
  readonly sslMode?: pulumi.Input<SslMode> | undefined;
  /** PEM text, or the path of a file, of the certificates to trust. */
  readonly sslRootCert?: pulumi.Input<string> | undefined;
}

/** Names in which `*` stands for any characters; a kind that is not named is not filtered. */
export interface FilterArgs {
  /** `sales*` */
  readonly schemas?: pulumi.Input<pulumi.Input<string>[]> | undefined;
  /** Tables and views: `sales.order*`, or `orders` in whatever schema. */
  readonly tables?: pulumi.Input<pulumi.Input<string>[]> | undefined;
  readonly extensions?: pulumi.Input<pulumi.Input<string>[]> | undefined;
}

/** A switch: true or false, or as Azure's REST API spells them, "True" and "False". */
export type Switch = boolean | "True" | "False" | "true" | "false";

/** How long: seconds, or a text such as `90s`, `30m`, `2h`, `7d`. */
export type Duration = number | string;

/** Who is told when a migration's state changes, by an HTTP POST whose form docs/webhook.md describes. */
export interface WebhookArgs {
  /** Kept as a secret in the state: many services put a token in it. */
  readonly url: pulumi.Input<string>;
  /** What deliveries are signed with, 16 characters or more. Kept as a secret in the state. */
  readonly secret?: pulumi.Input<string> | undefined;
}

/** Azure's place for roles and passwords. Passwords are kept as secrets in the state, whether they are given so or not. */
export interface SecretParametersArgs {
  readonly adminCredentials?:
    | {
        readonly sourceServerPassword?: pulumi.Input<string> | undefined;
        readonly targetServerPassword?: pulumi.Input<string> | undefined;
      }
    | undefined;
  readonly sourceServerUsername?: pulumi.Input<string> | undefined;
  readonly targetServerUsername?: pulumi.Input<string> | undefined;
}

/**
 * The properties of a migration. `source` and `target` say all about the servers; beside them, or in their place, stand the
 * keys of Azure's REST resource `flexibleServers/migrations` (API version 2025-08-01), each doing what it does there.
 */
export interface PgMigrationArgs {
  /** The server to migrate from: PostgreSQL 9.5 or later, anywhere. */
  readonly source?: pulumi.Input<ServerArgs> | undefined;
  /** The server to migrate to, not older than the source. Its role needs CREATEDB. */
  readonly target?: pulumi.Input<ServerArgs> | undefined;
  /** The source as `host:port@user`, or the Azure resource id of a PostgreSQL server. */
  readonly sourceDbServerResourceId?: pulumi.Input<string> | undefined;
  /** Name or address to reach the source by, in place of the one in its id. */
  readonly sourceDbServerFullyQualifiedDomainName?: pulumi.Input<string> | undefined;
  /** The target as `host:port@user`, or the Azure resource id of a flexible server. */
  readonly targetDbServerResourceId?: pulumi.Input<string> | undefined;
  /** Name or address to reach the target by, in place of the one in its id. */
  readonly targetDbServerFullyQualifiedDomainName?: pulumi.Input<string> | undefined;
  readonly secretParameters?: SecretParametersArgs | undefined;
  /** Where some documents misplace `secretParameters.sourceServerUsername`: taken from here, too, with a warning. */
  readonly sourceServerUsername?: pulumi.Input<string> | undefined;
  /** Where some documents misplace `secretParameters.targetServerUsername`: taken from here, too, with a warning. */
  readonly targetServerUsername?: pulumi.Input<string> | undefined;
  /** Where the source runs: what has to be changed there is told in that service's own commands. */
  readonly sourceType?: pulumi.Input<SourceType> | undefined;
  /** Of both servers, where they say nothing else. Default Prefer. */
  readonly sslMode?: pulumi.Input<SslMode> | undefined;
  /**
   * Databases of the source; they keep their names unless `databaseNames` gives them others. As many as you like:
   * Azure's limits (8 in its documents, 50 in its schema) do not hold here. May be left out with `waitForConfirmation`
   * and named in a later update.
   */
  readonly dbsToMigrate?: pulumi.Input<pulumi.Input<string>[]> | undefined;
  /** Letters, digits and hyphens; unique on the target. Default: the resource's name. */
  readonly migrationName?: pulumi.Input<string> | undefined;
  /** Offline (default) copies once; Online follows the source's changes until the cutover. */
  readonly migrationMode?: pulumi.Input<"Offline" | "Online"> | undefined;
  /** Default ValidateAndMigrate, which goes on after a validation that has Succeeded or given a Warning. */
  readonly migrationOption?: pulumi.Input<"Validate" | "Migrate" | "ValidateAndMigrate"> | undefined;
  /** Replace databases that exist on the target. Default false: they are a finding, or waited for. */
  readonly overwriteDbsInTarget?: pulumi.Input<Switch> | undefined;
  /**
   * Online: set wal_level, max_replication_slots and max_wal_senders on the source where the role may, else tell how. They
   * take effect when the source is restarted, which is left to you.
   */
  readonly setupLogicalReplicationOnSourceDbIfNeeded?: pulumi.Input<Switch> | undefined;
  /**
   * Wait, in the substate of Azure's name, where a confirmation is missing (logical replication, databases, overwriting)
   * instead of failing the validation. Default false.
   */
  readonly waitForConfirmation?: pulumi.Input<Switch> | undefined;
  /** False: validate, then wait until an update sets this to true or gives a window. Default true. */
  readonly startDataMigration?: pulumi.Input<Switch> | undefined;
  /** Data moves not before this time: `2030-01-31T22:00:00Z`. */
  readonly migrationWindowStartTimeInUtc?: pulumi.Input<string> | undefined;
  /** Data does not begin to move after this time. */
  readonly migrationWindowEndTimeInUtc?: pulumi.Input<string> | undefined;
  /** Set to true in an update: apply what the source has committed until now, compare, and finish. Online only. */
  readonly triggerCutover?: pulumi.Input<Switch> | undefined;
  /** With `triggerCutover`: only these databases are cut over, the others go on following; one that has failed is not. */
  readonly dbsToTriggerCutoverOn?: pulumi.Input<pulumi.Input<string>[]> | undefined;
  /** Set to true in an update: stop, and drop the slots on the source. On the target nothing is dropped. */
  readonly cancel?: pulumi.Input<Switch> | undefined;
  /** With `cancel`: only these databases are canceled, as one that has failed and is given up; the others go on. */
  readonly dbsToCancelMigrationOn?: pulumi.Input<pulumi.Input<string>[]> | undefined;
  /** Azure's runtime server: a worker elsewhere does the work, as with `runner: "external"`. */
  readonly migrationInstanceResourceId?: pulumi.Input<string> | undefined;
  /** The same under the `az` command's key. */
  readonly migrationRuntimeResourceId?: pulumi.Input<string> | undefined;
  /** Recorded with the migration. */
  readonly tags?: pulumi.Input<Readonly<Record<string, pulumi.Input<string>>>> | undefined;
  /** What is compared between source and target: every row's content (default), row counts, or nothing. */
  readonly verification?: pulumi.Input<"none" | "counts" | "content"> | undefined;
  /**
   * Online: before the cutover begins, compare every table's content while writes go on, both sides at the same point of
   * the source's history. What differs is not cut over. Default false: the cutover compares, at its own point.
   */
  readonly verifyBeforeCutover?: pulumi.Input<Switch> | undefined;
  /**
   * Online: any text, such as a date. Each time it changes, an update makes that comparison and waits for it; the result
   * is `currentStatus.currentSubStateDetails.dbDetails[database].verification`.
   */
  readonly verifyNow?: pulumi.Input<string> | undefined;
  /**
   * Online: `keep`, set before or with `triggerCutover`, has what is written on the target after the cutover applied to
   * the source, so that one can return without loss; the state is then WaitingForUserAction,
   * WaitingForRollbackDecision. `drop` (default) ends that, and the migration has succeeded. `return` brings the source
   * up to what the target has, compares, ends it, and the migration is Canceled: stop the applications first, and start
   * them on the source.
   */
  readonly rollback?: pulumi.Input<"drop" | "keep" | "return"> | undefined;
  /** A larger table (heap and TOAST) is copied in parts: bytes, or a text such as "10GB". Default 10GB. */
  readonly splitTablesLargerThan?: pulumi.Input<number | string> | undefined;
  /** Only these objects; what cannot be without the others is a finding. */
  readonly include?: pulumi.Input<FilterArgs> | undefined;
  /** All but these objects, and what cannot be without them, each of which is a finding. */
  readonly exclude?: pulumi.Input<FilterArgs> | undefined;
  /** Tables and all else, but no rows. Offline only. */
  readonly schemaOnly?: pulumi.Input<Switch> | undefined;
  /** Rows and sequences only, into databases that have the tables already. */
  readonly dataOnly?: pulumi.Input<Switch> | undefined;
  /** Other names on the target: `{ shop: "shop_eu" }`. */
  readonly databaseNames?: pulumi.Input<Record<string, pulumi.Input<string>>> | undefined;
  /** Roles, their memberships and settings too; never superuser attributes. Default false. */
  readonly migrateRoles?: pulumi.Input<Switch> | undefined;
  /**
   * Tables copied, and compared, at the same time. By default what both servers' settings have room for: 4, on large servers
   * up to 8 (one for each gibibyte of shared_buffers), and no more than a quarter of the free connections.
   */
  readonly tableJobs?: pulumi.Input<number> | undefined;
  /**
   * Indexes built, and constraints validated, at the same time. By default as many as tables are copied, and no more
   * than the target's maintenance_work_mem leaves room for in twice its shared_buffers.
   */
  readonly indexJobs?: pulumi.Input<number> | undefined;
  /**
   * Worker processes that share the copy on one machine, 1 to 16, each with `tableJobs` and `indexJobs` of its own. One
   * that dies is replaced, and only what it had begun is done again; where the first one dies, its successor goes on
   * under the same snapshot as long as another one lives. Default 1.
   */
  readonly workers?: pulumi.Input<number> | undefined;
  /**
   * Online, for tables without a primary key or replica identity: follow their inserts only (default), or set REPLICA
   * IDENTITY FULL on them, which is reset when the migration ends, however it ends.
   */
  readonly keylessTables?: pulumi.Input<"insertsOnly" | "full"> | undefined;
  /** Online: the source's output plugin. Default pgoutput, and test_decoding for sources before PostgreSQL 10. */
  readonly decodingPlugin?: pulumi.Input<"pgoutput" | "test_decoding"> | undefined;
  /**
   * Online: `readOnly` makes each database of the source read only at its cutover, for every role, and ends the
   * sessions there; undone when the cutover fails. After it the fence stays until `none` is set or the resource is
   * destroyed. A return (`rollback`) puts one around the target in the same way, and lifts the source's.
   */
  readonly fence?: pulumi.Input<"none" | "readOnly"> | undefined;
  /**
   * Online: for how long each database's cutover compares tables by content, the smallest first. Those that do not fit
   * are compared by their numbers of rows, and the status says which. Default 5m.
   */
  readonly cutoverVerificationBudget?: pulumi.Input<Duration> | undefined;
  /** Online: steps of its increment by which the cutover sets every sequence ahead of the source's. Default 0. */
  readonly sequenceMargin?: pulumi.Input<number> | undefined;
  /** Online: how long a server that is away is waited for before the migration fails. Default 10m. */
  readonly reconnectFor?: pulumi.Input<Duration> | undefined;
  /**
   * Online: how much WAL the source may keep for a database's slot, in bytes or as "200GB". There is a warning at four
   * fifths of it; when it is reached for half a minute, the slot is dropped, since nothing else gives the source its
   * disk back, and what was copied has to be copied anew. Default: no limit but the source's own
   * `max_slot_wal_keep_size`.
   */
  readonly maxRetainedWal?: pulumi.Input<number | string> | undefined;
  /**
   * What becomes of a database at `maxRetainedWal`: `pause` (default) ends the migration as Failed, and the next
   * `pulumi up` copies that database anew; `cancel` cancels the database, and the others go on. It stays so: until an
   * input changes, where all are canceled; else take it out of `dbsToMigrate` for an update, and put it in again.
   */
  readonly onMaxRetainedWal?: pulumi.Input<"pause" | "cancel"> | undefined;
  /** The target's database that holds the migration's records. Default postgres. */
  readonly maintenanceDatabase?: pulumi.Input<string> | undefined;
  /**
   * Where the worker lives. `local` (default) starts it on this machine, where it outlives `pulumi up`; `external` only
   * records the spec: somebody runs `pg-migration worker`, for instance near the databases.
   */
  readonly runner?: pulumi.Input<"local" | "external"> | undefined;
  /**
   * How far an operation follows the migration. Default: to its success, to the wait for its cutover, or to where it is
   * your turn. With `waitFor` it waits there too, for somebody else to release the migration.
   */
  readonly waitFor?: pulumi.Input<"started" | "cutoverReady" | "succeeded"> | undefined;
  /** Told of each change of state. The migration never waits for it, and goes on when it cannot be reached. */
  readonly webhook?: pulumi.Input<WebhookArgs> | undefined;
  /**
   * What creation does when the target has a record of this migration already. Creation always continues an unfinished
   * record of this resource, of a resource of this stack that is replaced or renamed, or of the command, and reports that.
   * It refuses (default) a record that has ended or belongs to another stack. `adopt` takes such a record over as it is;
   * `restart` removes the record of a migration that has ended and migrates again.
   */
  readonly onExistingRecord?: pulumi.Input<"refuse" | "adopt" | "restart"> | undefined;
  /** How long an operation may take before it gives up waiting; the worker goes on. Default seven days. */
  readonly timeouts?:
    | pulumi.Input<{
        readonly create?: Duration | undefined;
        readonly update?: Duration | undefined;
        readonly delete?: Duration | undefined;
      }>
    | undefined;
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
  declare readonly migrationId: pulumi.Output<string>;
  /** How to reach the migrated data, without the password: for an application's configuration. */
  declare readonly targetConnection: pulumi.Output<TargetConnection>;
  /** What the worker found; undefined before it could log in. */
  declare readonly sourceDbServerMetadata: pulumi.Output<ServerMetadata | undefined>;
  declare readonly targetDbServerMetadata: pulumi.Output<ServerMetadata | undefined>;

  /**
   * @param name the resource's name, and the migration's unless `migrationName` says otherwise
   * @param args what is to be migrated, whence and where to
   */
  constructor(name: string, args: PgMigrationArgs, opts?: pulumi.CustomResourceOptions) {
    super(
      provider,
      name,
      {
        currentStatus: undefined,
        migrationId: undefined,
        targetConnection: undefined,
        sourceDbServerMetadata: undefined,
        targetDbServerMetadata: undefined,
        ...args,
        migrationName: args.migrationName ?? name,
        source: withSecrets(args.source, "password", "passwordCommand"),
        target: withSecrets(args.target, "password", "passwordCommand"),
        secretParameters: withSecretCredentials(args.secretParameters),
        webhook: withSecrets(args.webhook, "url", "secret"),
        engineVersion,
        resourceUrn: urnOf(name, opts?.parent),
      },
      opts,
      moduleName,
      typeName,
    );
    for (const key of ["sourceServerUsername", "targetServerUsername"] as const)
      if (args[key] !== undefined)
        void pulumi.log.warn(
          `${key} belongs into secretParameters: Azure's service ignores it where it is. It is used here all the same.`,
          this,
        );
  }

  /**
   * A migration from the JSON body of Azure's REST resource, or of the file that `az postgres flexible-server migration
   * create --properties` takes, as it is: `properties` around its keys, keys in any case, "True" and "False".
   *
   * @param body values may be Pulumi outputs; the object itself may not, since its keys are read at once
   */
  static fromArm(
    name: string,
    body: Readonly<Record<string, unknown>>,
    opts?: pulumi.CustomResourceOptions,
  ): PgMigration {
    return new PgMigration(name, inputsFromArmBody(body), opts);
  }
}

const moduleName = "pg-migration";
const typeName = "PgMigration";

/** As a promise: an output would make the resource depend on its parent, and so a component's child wait for itself. */
const urnOf = (name: string, parent: pulumi.Resource | undefined): Promise<string> =>
  new Promise((resolve) => {
    pulumi.createUrn(name, `pulumi-nodejs:dynamic/${moduleName}:${typeName}`, parent).apply(resolve);
  });

/** Secret even when the program forgets to say so. An object that is itself an output becomes a secret as a whole. */
function withSecrets(given: pulumi.Input<object> | undefined, ...keys: readonly string[]): pulumi.Inputs | undefined {
  if (given === undefined) return undefined;
  if (pulumi.Output.isInstance(given) || given instanceof Promise) return pulumi.secret(given);
  const secrets = Object.entries(given)
    .filter(([key, value]) => keys.includes(key) && value !== undefined)
    .map(([key, value]) => [key, pulumi.secret(value as unknown)] as const);
  return { ...given, ...Object.fromEntries(secrets) };
}

function withSecretCredentials(given: SecretParametersArgs | undefined): pulumi.Inputs | undefined {
  if (given?.adminCredentials === undefined) return given;
  const adminCredentials = withSecrets(given.adminCredentials, "sourceServerPassword", "targetServerPassword");
  return { ...given, adminCredentials };
}
