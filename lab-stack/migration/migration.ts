import * as dbforpostgresql from "@pulumi/azure-native/dbforpostgresql";
import * as pulumi from "@pulumi/pulumi";
import { PgMigration, type WorkerJob } from "pulumi-pg-migration";
import type { FlexibleServer } from "../server/flexible-server";
import type { LabConfig } from "../lab-config";
import { MigrationRunner, type RegistryLogin } from "./migration-runner";
import type { LabNetwork, Place } from "../network/network";

type MigrationConfig = NonNullable<LabConfig["migration"]>;

export interface MigrationTarget extends FlexibleServer {
  /** The server's address in the virtual network, where it has one. */
  readonly privateAddress: pulumi.Output<string> | undefined;
  /** What has to be there before a migration can reach the server. */
  readonly reachableThrough: readonly pulumi.Resource[];
  readonly network: LabNetwork;
}

/**
 * The migration that the configuration declares, by the embedded engine or by Azure's own service, while the lab's phase is
 * `migrate`; afterwards there is none, and the migrated data stays.
 */
export function declareMigration(place: Place, target: MigrationTarget): pulumi.Output<unknown> | undefined {
  const { migration, phase } = place.config;
  if (!migration || phase === "run") return undefined;
  const options = { dependsOn: [...target.reachableThrough] };
  if (migration.engine === "azure") return declareAzureMigration(place, migration, target, options).currentStatus;
  return declareEmbeddedMigration(place, migration, target, options).currentStatus;
}

function declareEmbeddedMigration(
  place: Place,
  migration: MigrationConfig,
  target: MigrationTarget,
  { dependsOn }: { readonly dependsOn: pulumi.Resource[] },
): PgMigration {
  const servers = serversOf(place.config, migration, target);
  const runner = declareRunner(place, migration, target, servers, dependsOn);
  return new PgMigration(
    migration.name,
    {
      ...servers,
      dbsToMigrate: migration.databases,
      migrationMode: migration.mode,
      migrationOption: migration.option,
      overwriteDbsInTarget: migration.overwrite,
      triggerCutover: migration.triggerCutover,
      ...(runner && { runner: "external" as const }),
    },
    { dependsOn: runner ? [...dependsOn, runner] : dependsOn },
  );
}

type Servers = ReturnType<typeof serversOf>;

function serversOf(
  { server: { administratorLogin } }: LabConfig,
  migration: MigrationConfig,
  { server, privateAddress, administratorPassword }: MigrationTarget,
) {
  const { host, port, user, sslMode } = migration.source;
  const address = migration.targetBy === "address" ? privateAddress : undefined;
  return {
    source: { host, port, user, sslMode, password: sourcePassword() },
    target: {
      host: address ?? server.fullyQualifiedDomainName,
      user: administratorLogin,
      password: administratorPassword,
      sslMode: migration.targetSslMode,
    },
  };
}

/** The containers in which the migration's worker runs, where the configuration asks for them. */
function declareRunner(
  { naming, group }: Place,
  { worker, runner, name }: MigrationConfig,
  { network }: MigrationTarget,
  servers: Servers,
  dependsOn: pulumi.Resource[],
): MigrationRunner | undefined {
  if (worker !== "container" || !runner || !network.runner) return undefined;
  const { image, registry, registryUser, replicas, cpu, memoryGb } = runner;
  const job: pulumi.Output<WorkerJob> = pulumi.all([servers.source, servers.target]).apply(([source, target]) => ({
    migrationName: name,
    source,
    target,
  }));
  return new MigrationRunner(
    naming.ofComponent("runner"),
    {
      resourceGroupName: group.name,
      location: group.location,
      subnetId: network.runner.id,
      image,
      registry: registry === undefined ? loginOf(registryUser) : { id: registry },
      job,
      replicas,
      cpu,
      memoryGb,
      tags: naming.tags,
    },
    { dependsOn },
  );
}

const loginOf = (username: string | undefined): RegistryLogin | undefined =>
  username === undefined ? undefined : { username, password: new pulumi.Config().requireSecret("registryPassword") };

/** The same wish to Microsoft's service (API 2025-08-01), whose switches are the texts True and False. */
function declareAzureMigration(
  { config, naming, group }: Place,
  migration: MigrationConfig,
  { server, administratorPassword }: MigrationTarget,
  options: pulumi.CustomResourceOptions,
): dbforpostgresql.Migration {
  const { host, port, user, sslMode, type } = migration.source;
  const text = (value: boolean) => (value ? "True" : "False");
  const isOnline = migration.mode === "Online";
  return new dbforpostgresql.Migration(
    migration.name,
    {
      resourceGroupName: group.name,
      serverName: server.name,
      location: group.location,
      migrationName: migration.name,
      migrationMode: migration.mode,
      migrationOption: migration.option,
      sourceType: type,
      sourceDbServerResourceId: `${host}:${port}@${user}`,
      sslMode: azureSslMode(sslMode),
      dbsToMigrate: migration.databases,
      overwriteDbsInTarget: text(migration.overwrite),
      ...(isOnline && { triggerCutover: text(migration.triggerCutover) }),
      ...(migration.runtimeServer !== undefined && { migrationInstanceResourceId: migration.runtimeServer }),
      secretParameters: {
        adminCredentials: { sourceServerPassword: sourcePassword(), targetServerPassword: administratorPassword },
        sourceServerUsername: user,
        targetServerUsername: config.server.administratorLogin,
      },
      tags: naming.tags,
    },
    { ...options, additionalSecretOutputs: ["secretParameters"] },
  );
}

/** Azure's service has no mode without TLS; Prefer falls back to it. */
const azureSslMode = (mode: MigrationConfig["source"]["sslMode"]): string => (mode === "Disable" ? "Prefer" : mode);

const sourcePassword = (): pulumi.Output<string> => new pulumi.Config().requireSecret("sourcePassword");
