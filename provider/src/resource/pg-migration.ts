import * as pulumi from "@pulumi/pulumi";
import { inputsFromArmBody } from "../inputs/arm-body.js";
import { engineVersion } from "../engine-version.js";
import type { SourceType } from "../inputs/inputs.js";
import type { Authentication } from "../postgres/authentication/authentication.js";
import type { SslMode } from "../postgres/connection/endpoint.js";
import type { MigrationStatus, ServerMetadata, TargetConnection } from "../status.js";

/** {@link Authentication} with Pulumi's inputs. */
export type AuthenticationArgs = {
  [Kind in Authentication as Kind["kind"]]: {
    readonly [Key in keyof Kind]: Key extends "kind" ? Kind[Key] : pulumi.Input<Kind[Key]>;
  };
}[Authentication["kind"]];

/** A PostgreSQL server, and the login on it. ARM keys may supply missing values. */
export interface ServerArgs {
  /** Host name or address. */
  readonly host?: pulumi.Input<string> | undefined;
  /** Default 5432. */
  readonly port?: pulumi.Input<number> | undefined;
  readonly user?: pulumi.Input<string> | undefined;
  /** Kept as a secret in the state, whether or not it is given as one. */
  readonly password?: pulumi.Input<string> | undefined;
  /**
   * Instead of `password`: a token of Microsoft Entra, AWS or Google Cloud, or the output of a command. Each
   * process that connects obtains it, and renews it. docs/passwordless.md describes the kinds.
   */
  readonly auth?: pulumi.Input<AuthenticationArgs> | undefined;
  /**
   * Like libpq's sslmode. Default: the migration's `sslMode`, and Require for tokens. `VerifyCA` without `sslRootCert`
   * also checks the name, because any certificate of a public authority would pass otherwise.
   */
  readonly sslMode?: pulumi.Input<SslMode> | undefined;
  /** Trusted certificates: PEM text, or the path of a PEM file. */
  readonly sslRootCert?: pulumi.Input<string> | undefined;
}

/** Names in which `*` stands for any characters. A kind that is omitted is not filtered. */
export interface FilterArgs {
  /** `sales*` */
  readonly schemas?: pulumi.Input<pulumi.Input<string>[]> | undefined;
  /** Tables and views: `sales.order*`, or `orders` in any schema. */
  readonly tables?: pulumi.Input<pulumi.Input<string>[]> | undefined;
  readonly extensions?: pulumi.Input<pulumi.Input<string>[]> | undefined;
}

/** A switch: true or false, or the spellings of Azure's REST API, "True" and "False". */
export type Switch = boolean | "True" | "False" | "true" | "false";

/** A duration: seconds, or a text such as `90s`, `30m`, `2h`, `7d`. */
export type Duration = number | string;

/** Receives an HTTP POST for each change of a migration's state. docs/webhook.md describes its form. */
export interface WebhookArgs {
  /** Kept as a secret in the state: many services put a token in the URL. */
  readonly url: pulumi.Input<string>;
  /** Signs deliveries; at least 16 characters. Kept as a secret in the state. */
  readonly secret?: pulumi.Input<string> | undefined;
}

/** When cutovers may start. */
export interface CutoverWindowArgs {
  /** `2030-02-01T02:00`, as clocks of `timeZone` show it, or with an offset: `2030-02-01T02:00:00+01:00`. */
  readonly start: pulumi.Input<string>;
  /** A cutover that has started continues after the end. */
  readonly end: pulumi.Input<string>;
  /** A name of the IANA, such as `Europe/Berlin`. Default UTC. */
  readonly timeZone?: pulumi.Input<string> | undefined;
}

/**
 * Azure's property for roles and passwords. Passwords are kept as secrets in the state, whether or not they are given
 * as such.
 */
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
 * The properties of a migration. `source` and `target` describe the servers. The keys of Azure's REST resource
 * `flexibleServers/migrations` (API version 2025-08-01) are accepted in addition or instead, with the same meaning.
 */
export interface PgMigrationArgs {
  /** The server to migrate from: PostgreSQL 9.5 or later, anywhere. */
  readonly source?: pulumi.Input<ServerArgs> | undefined;
  /** The server to migrate to, not older than the source. Its role needs CREATEDB. */
  readonly target?: pulumi.Input<ServerArgs> | undefined;
  /** The source as `host:port@user`, or the Azure resource id of a PostgreSQL server. */
  readonly sourceDbServerResourceId?: pulumi.Input<string> | undefined;
  /** Name or address of the source, instead of the one in its id. */
  readonly sourceDbServerFullyQualifiedDomainName?: pulumi.Input<string> | undefined;
  /**
   * The target as `host:port@user`, or the Azure resource id of a flexible server. With a complete id, the validation reads the
   * server's storage, standby and read replicas from Azure, with the identity of `target.auth` or of the environment.
   */
  readonly targetDbServerResourceId?: pulumi.Input<string> | undefined;
  /** Name or address of the target, instead of the one in its id. */
  readonly targetDbServerFullyQualifiedDomainName?: pulumi.Input<string> | undefined;
  readonly secretParameters?: SecretParametersArgs | undefined;
  /** Accepted here with a warning: Azure's documentation lists it here instead of in `secretParameters`. */
  readonly sourceServerUsername?: pulumi.Input<string> | undefined;
  /** Accepted here with a warning: Azure's documentation lists it here instead of in `secretParameters`. */
  readonly targetServerUsername?: pulumi.Input<string> | undefined;
  /**
   * Platform of the source. Findings about the source have the commands of that platform. Needed only if the server does not
   * show it (docs/source-platforms.md).
   */
  readonly sourceType?: pulumi.Input<SourceType> | undefined;
  /** For both servers, unless they have their own. Default Prefer; VerifyFull for a source of type PostgreSQLSingleServer. */
  readonly sslMode?: pulumi.Input<SslMode> | undefined;
  /**
   * Databases of the source: names, patterns (`app_*`, or `*` for all) and exclusions (`!app_test`). Patterns are
   * resolved once; docs/changing-inputs.md describes them. Databases keep their names unless `databaseNames` renames
   * them. Azure's limits (8 in its documents, 50 in its schema) do not apply. May be omitted with
   * `waitForConfirmation`, and given in a later update.
   */
  readonly dbsToMigrate?: pulumi.Input<pulumi.Input<string>[]> | undefined;
  /** Letters, digits and hyphens; unique on the target. Default: the resource's name. */
  readonly migrationName?: pulumi.Input<string> | undefined;
  /** Offline (default) copies once; Online also replicates the source's changes until the cutover. */
  readonly migrationMode?: pulumi.Input<"Offline" | "Online"> | undefined;
  /** Default ValidateAndMigrate, which continues after a validation with the result Succeeded or Warning. */
  readonly migrationOption?: pulumi.Input<"Validate" | "Migrate" | "ValidateAndMigrate"> | undefined;
  /**
   * Replaces databases that exist on the target when it is set, but not while applications have sessions in them. Default false:
   * they are a finding, or the migration waits for confirmation.
   */
  readonly overwriteDbsInTarget?: pulumi.Input<Switch> | undefined;
  /**
   * Online: sets wal_level, max_replication_slots and max_wal_senders on the source if the role may, otherwise reports
   * how. They take effect after a restart of the source, which is left to you.
   */
  readonly setupLogicalReplicationOnSourceDbIfNeeded?: pulumi.Input<Switch> | undefined;
  /**
   * Waits for a missing confirmation (logical replication, databases, overwriting) in the substate with Azure's name,
   * instead of failing the validation. Default false.
   */
  readonly waitForConfirmation?: pulumi.Input<Switch> | undefined;
  /** False: validates, then waits until an update sets this to true or sets a window. Default true. */
  readonly startDataMigration?: pulumi.Input<Switch> | undefined;
  /** The copy does not start before this time: `2030-01-31T22:00:00Z`. Without an offset it is in UTC. */
  readonly migrationWindowStartTimeInUtc?: pulumi.Input<string> | undefined;
  /** The copy does not start after this time. */
  readonly migrationWindowEndTimeInUtc?: pulumi.Input<string> | undefined;
  /**
   * Set to true in an update: applies all transactions committed on the source, compares, and completes the migration.
   * Online only.
   */
  readonly triggerCutover?: pulumi.Input<Switch> | undefined;
  /** With `triggerCutover`: cuts over only these databases, except failed ones. The others are still replicated. */
  readonly dbsToTriggerCutoverOn?: pulumi.Input<pulumi.Input<string>[]> | undefined;
  /** Set to true in an update: stops, and drops the slots on the source. Nothing is dropped on the target. */
  readonly cancel?: pulumi.Input<Switch> | undefined;
  /** With `cancel`: cancels only these databases, for example a failed one. The others continue. */
  readonly dbsToCancelMigrationOn?: pulumi.Input<pulumi.Input<string>[]> | undefined;
  /** Azure's runtime server: a worker on another machine migrates, as with `runner: "external"`. */
  readonly migrationInstanceResourceId?: pulumi.Input<string> | undefined;
  /** The `az` command's key for `migrationInstanceResourceId`. */
  readonly migrationRuntimeResourceId?: pulumi.Input<string> | undefined;
  /** Recorded with the migration. */
  readonly tags?: pulumi.Input<Readonly<Record<string, pulumi.Input<string>>>> | undefined;
  /** What is compared between source and target: every row's content (default), row counts, or nothing. */
  readonly verification?: pulumi.Input<"none" | "counts" | "content"> | undefined;
  /**
   * Online: compares every table's content before the cutover starts, while writes continue, on both servers at the
   * same LSN. A database that differs is not cut over. With `cutoverWindow`, the comparison starts so early that it ends before
   * the window. Default false: the comparison takes place during the cutover.
   */
  readonly verifyBeforeCutover?: pulumi.Input<Switch> | undefined;
  /**
   * Online: any text, such as a date. Each new value starts a comparison during replication, and the update waits for
   * it. The result is `currentStatus.currentSubStateDetails.dbDetails[database].verification`.
   */
  readonly verifyNow?: pulumi.Input<string> | undefined;
  /**
   * Online: `keep`, set before or with `triggerCutover`, replicates changes of the target to the source after the
   * cutover, so that a return is possible without loss. The state is then WaitingForUserAction, with the substate
   * WaitingForRollbackDecision. `drop` (default) ends this, and the migration has succeeded. `return` applies the
   * remaining changes to the source, compares, and ends as Canceled. First stop the applications, and then start them
   * on the source.
   */
  readonly rollback?: pulumi.Input<"drop" | "keep" | "return"> | undefined;
  /** A larger table (heap and TOAST) is copied in parts, unless it is unlogged: bytes, or a text such as "10GB". Default 10GB. */
  readonly splitTablesLargerThan?: pulumi.Input<number | string> | undefined;
  /** Migrates only these objects. Objects that require others are findings. */
  readonly include?: pulumi.Input<FilterArgs> | undefined;
  /** Excludes these objects, and all objects that depend on them, each of which is a finding. */
  readonly exclude?: pulumi.Input<FilterArgs> | undefined;
  /** Migrates tables and all other objects, but no rows. Offline only. */
  readonly schemaOnly?: pulumi.Input<Switch> | undefined;
  /** Migrates only rows and sequences, into databases that already have the tables. */
  readonly dataOnly?: pulumi.Input<Switch> | undefined;
  /** Other names on the target: `{ shop: "shop_eu" }`. */
  readonly databaseNames?: pulumi.Input<Record<string, pulumi.Input<string>>> | undefined;
  /** Also migrates roles, their memberships and settings; never superuser attributes. Default false. */
  readonly migrateRoles?: pulumi.Input<Switch> | undefined;
  /**
   * Tables copied, and compared, at the same time. The default depends on both servers' settings. It is 4, on large
   * servers up to 8 (one for each gibibyte of shared_buffers). It is at most a quarter of the free connections.
   */
  readonly tableJobs?: pulumi.Input<number> | undefined;
  /**
   * Indexes built, and constraints validated, at the same time. By default the number of `tableJobs`, limited so that
   * the target's maintenance_work_mem for all of them is at most twice its shared_buffers.
   */
  readonly indexJobs?: pulumi.Input<number> | undefined;
  /**
   * Worker processes that share the copy on one machine, 1 to 16, each with its own `tableJobs` and `indexJobs`. A
   * worker that dies is replaced, and only its unfinished tasks are repeated. If the leader dies, its successor keeps
   * the snapshot as long as another worker is alive. Default 1.
   */
  readonly workers?: pulumi.Input<number> | undefined;
  /**
   * Largest number of bytes per second that the copy of rows reads from the source, over all tables and workers. The value is
   * a number of bytes or a text such as "50MB", at least 64kB. A change applies to a running copy within seconds. Comparisons
   * are not limited. Default: no limit.
   */
  readonly maxCopyRate?: pulumi.Input<number | string> | undefined;
  /**
   * The copy of rows slows down while a physical or logical replica of the source is farther behind than this. It never becomes
   * slower than 64 kB per second. The value is a number of seconds or a text such as "30s". A change applies to a running copy
   * within seconds. The source's role has to be a member of `pg_monitor`. Default: no limit.
   */
  readonly maxReplicaLag?: pulumi.Input<number | string> | undefined;
  /**
   * Online, sessions on the target that apply a backlog of changes, 1 to 64. By default up to 4, and at most a quarter of the free
   * connections. While they apply a backlog, other sessions of the target may see a part of a transaction of the source. At a
   * cutover or comparison, and without a backlog, transactions are complete. 1 always preserves them. A change applies to
   * running streams within seconds.
   */
  readonly applySessions?: pulumi.Input<number> | undefined;
  /**
   * Online, for tables without a primary key or replica identity: replicates only inserts (default), or sets REPLICA
   * IDENTITY FULL on them. It is reset at every end of the migration.
   */
  readonly keylessTables?: pulumi.Input<"insertsOnly" | "full"> | undefined;
  /**
   * Online: what happens to changes of the source's schema. `carry` (default) applies them to the target at their position in
   * the stream, and asks you only for what would lose values. `pause` asks you for each of them: the stream, or the cutover,
   * waits until you have run the statement on the target. `docs/schema-changes.md` has the rules. A change applies to the
   * running worker.
   */
  readonly schemaChanges?: pulumi.Input<"carry" | "pause"> | undefined;
  /** Online: the source's output plugin. Default pgoutput, and test_decoding for sources before PostgreSQL 10. */
  readonly decodingPlugin?: pulumi.Input<"pgoutput" | "test_decoding"> | undefined;
  /**
   * `readOnly` makes each database of the source read-only for every role, and terminates the sessions in it. Offline,
   * this happens before the snapshot of its copy, and online at its cutover. A failed copy or cutover reverts this. Otherwise
   * the fence stays until `none` is set or the resource is destroyed. A return (`rollback`) fences the target in the same way,
   * and removes the source's fence.
   */
  readonly fence?: pulumi.Input<"none" | "readOnly"> | undefined;
  /**
   * Offline: what happens if the source was written after the snapshot, so that the target lacks these changes. `warn`
   * (default) succeeds with a warning that names the tables. `fail` ends the migration as Failed, and the next
   * `pulumi up` copies the database again.
   */
  readonly offlineWrites?: pulumi.Input<"warn" | "fail"> | undefined;
  /**
   * Online: time limit for the comparison of content in each database's cutover, smallest tables first. The remaining
   * tables are compared by their numbers of rows, and the status lists them. Default 5m.
   */
  readonly cutoverVerificationBudget?: pulumi.Input<Duration> | undefined;
  /**
   * Online: with `triggerCutover`, each database is cut over once the target is at most this far behind. Until then it is
   * replicated. With `verifyBeforeCutover`, it also has to be equal. Default: no limit.
   *
   * @example
   * ```ts
   * new PgMigration("crm", { ...online, triggerCutover: true, maxCutoverLag: "5s", verifyBeforeCutover: true });
   * ```
   */
  readonly maxCutoverLag?: pulumi.Input<Duration> | undefined;
  /**
   * Online: with `triggerCutover`, each database is cut over only if the cutover can start in this window. Until then it is
   * replicated. An operation completes while the window is ahead, and fails once it is over. Default: at any time.
   *
   * @example
   * ```ts
   * const cutoverWindow = { start: "2030-02-01T02:00", end: "2030-02-01T05:00", timeZone: "Europe/Berlin" };
   * new PgMigration("crm", { ...online, triggerCutover: true, cutoverWindow });
   * ```
   */
  readonly cutoverWindow?: pulumi.Input<CutoverWindowArgs> | undefined;
  /** Online: number of steps by which the cutover advances each sequence beyond the source's. Default 0. */
  readonly sequenceMargin?: pulumi.Input<number> | undefined;
  /** Online: how long to retry an unreachable server before the migration fails. Default 10m. */
  readonly reconnectFor?: pulumi.Input<Duration> | undefined;
  /**
   * Online: maximum WAL that the source may retain for a database's slot, in bytes or as "200GB". A warning is reported
   * at 80 percent. If the limit is exceeded for half a minute, the slot is dropped, because nothing else frees the
   * source's disk. The database then has to be copied again. Default: no limit except the source's own
   * `max_slot_wal_keep_size`.
   */
  readonly maxRetainedWal?: pulumi.Input<number | string> | undefined;
  /**
   * What happens to a database at `maxRetainedWal`. `pause` (default) ends the migration as Failed, and the next
   * `pulumi up` copies that database from scratch. `cancel` cancels the database, and the others continue. To migrate a
   * canceled database again, remove it from `dbsToMigrate` in one update, and add it in the next. If all databases are
   * canceled, any changed input restarts them. A canceled database stays on the target unless `overwriteDbsInTarget` is set.
   */
  readonly onMaxRetainedWal?: pulumi.Input<"pause" | "cancel"> | undefined;
  /** The target's database with the migration's records. Default postgres, or pgmigration if postgres is migrated. */
  readonly maintenanceDatabase?: pulumi.Input<string> | undefined;
  /**
   * Where the worker runs. `local` (default) starts it on this machine, where it continues after `pulumi up`.
   * `external` only records the spec: run `pg-migration worker` yourself, for instance near the databases.
   */
  readonly runner?: pulumi.Input<"local" | "external"> | undefined;
  /**
   * How long an operation watches the migration. Default: until it succeeds, waits for its cutover, or needs the user.
   * With `waitFor` it also waits while another user has to act.
   */
  readonly waitFor?: pulumi.Input<"started" | "cutoverReady" | "succeeded"> | undefined;
  /**
   * What an operation does if the migration fails. `fail` (default) ends it with an error, and Pulumi then stops. `report`
   * completes it: the output `failure` has the reason, and the next `pulumi up` tries again.
   *
   * @example
   * ```ts
   * new PgMigration("crm", { ...servers, dbsToMigrate: ["crm"], onFailure: "report", retries: 2 });
   * ```
   */
  readonly onFailure?: pulumi.Input<"fail" | "report"> | undefined;
  /**
   * How many more times an operation attempts a migration that failed, 0 to 10. It pauses for 5 s, 10 s, 20 s and so on. A
   * failed validation and wrong inputs need you, and are not attempted again. Default 0.
   */
  readonly retries?: pulumi.Input<number> | undefined;
  /** Receives each change of state. The migration never waits for it, and continues if it cannot be reached. */
  readonly webhook?: pulumi.Input<WebhookArgs> | undefined;
  /**
   * The path of a file that ends in .html or .json, or of a directory for both, relative to the program's directory. An operation
   * writes [a report](https://github.com/pulumi-pg-migration/pulumi-pg-migration/blob/main/docs/report.md) there
   * when it sees that the migration has ended, and when the resource is destroyed.
   * A failure to write it is a finding, and the migration still succeeds.
   */
  readonly report?: pulumi.Input<string> | undefined;
  /**
   * What creation does if the target already has a record of this migration. Creation always continues an unfinished
   * record of this resource, of a replaced or renamed resource of this stack, or of the command, and reports that. It
   * refuses (default) a record that has ended or belongs to another stack. `adopt` keeps such a record unchanged.
   * `restart` removes the record of an ended migration and migrates again.
   */
  readonly onExistingRecord?: pulumi.Input<"refuse" | "adopt" | "restart"> | undefined;
  /** Time limit of an operation. The worker continues afterwards. Default seven days. */
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
 * A migration of PostgreSQL databases from one server to another.
 *
 * Creating the resource migrates. An update with `triggerCutover: true` cuts an online migration over. A refresh shows
 * live status. Destroying the resource stops the worker and removes everything but the migrated data.
 *
 * @example
 * ```ts
 * const migration = new PgMigration("crm", {
 *   source: { host: "db.example", user: "migrator", password: config.requireSecret("sourcePassword") },
 *   target: { host: "crm.postgres.database.azure.com", user: "admin", password: config.requireSecret("targetPassword") },
 *   dbsToMigrate: ["crm"],
 *   migrationMode: "Online",
 * });
 * export const state = migration.currentStatus.state;
 * ```
 */
export class PgMigration extends pulumi.dynamic.Resource {
  /** State, substate, and details for each database, with the names of Azure's migration service. */
  declare readonly currentStatus: pulumi.Output<MigrationStatus>;
  declare readonly migrationName: pulumi.Output<string>;
  declare readonly migrationId: pulumi.Output<string>;
  /** How to connect to the migrated data, without the password: for an application's configuration. */
  declare readonly targetConnection: pulumi.Output<TargetConnection>;
  /** Why the last operation failed, with `onFailure: "report"`; undefined after a success. */
  declare readonly failure: pulumi.Output<string | undefined>;
  /** Properties of the source as read by the worker; undefined before its first login. */
  declare readonly sourceDbServerMetadata: pulumi.Output<ServerMetadata | undefined>;
  declare readonly targetDbServerMetadata: pulumi.Output<ServerMetadata | undefined>;

  /**
   * @param name the resource's name, and the migration's unless `migrationName` is set
   * @param args source, target, databases and options
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
        failure: undefined,
        ...args,
        migrationName: args.migrationName ?? name,
        source: withSecrets(args.source, "password", "auth"),
        target: withSecrets(args.target, "password", "auth"),
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
          `move ${key} into secretParameters: Azure's service ignores it here. This package uses it nevertheless.`,
          this,
        );
  }

  /**
   * Creates a migration from an unchanged artefact of Azure's migration service. It may be the output of
   * `az postgres flexible-server migration show`, an answer of the REST API, or the file for `create --properties`. It may
   * also be an ARM or compiled Bicep template. docs/azure-artefacts.md lists what is ignored, and where defaults differ.
   *
   * Azure never returns passwords. Add `secretParameters`, or `source` and `target`, to what it returned.
   *
   * @param artefact values may be Pulumi outputs; the object itself may not, because its keys are read at once
   * @param parameters values of the template's parameters by name, or the content of its parameters file
   * @example
   * ```ts
   * PgMigration.fromArm("crm", JSON.parse(readFileSync("migration.json", "utf8")));
   * PgMigration.fromArm("erp", JSON.parse(readFileSync("main.json", "utf8")), {}, {
   *   sourcePassword: config.requireSecret("sourcePassword"),
   * });
   * ```
   */
  static fromArm(
    name: string,
    artefact: Readonly<Record<string, unknown>>,
    opts?: pulumi.CustomResourceOptions,
    parameters?: Readonly<Record<string, unknown>>,
  ): PgMigration {
    return new PgMigration(name, inputsFromArmBody(artefact, parameters), opts);
  }
}

const moduleName = "pg-migration";
const typeName = "PgMigration";

/**
 * A promise, because an output would make the resource depend on its parent, and the child of a component wait for
 * itself.
 */
const urnOf = (name: string, parent: pulumi.Resource | undefined): Promise<string> =>
  new Promise((resolve) => {
    pulumi.createUrn(name, `pulumi-nodejs:dynamic/${moduleName}:${typeName}`, parent).apply(resolve);
  });

/**
 * Marks values as secrets, also if the program does not. An object that is itself an output becomes a secret as a
 * whole.
 */
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
