import * as pulumi from "@pulumi/pulumi";
import { PgMigration, type WorkerJob } from "pulumi-pg-migration";
import { ContainerGroupRunner, type RegistryLogin } from "pulumi-pg-migration/runners/container-group";
import type { LabConfig, MigrationConfig } from "../config/lab-schema";
import type { LabContext } from "../lab-context";
import { declareAzureMigration } from "./azure-migration";
import { azureKeys, sourcePassword } from "./migration-inputs";
import type { MigrationTarget } from "./migration-target";

/**
 * Declares the configured migration for the embedded engine or for Microsoft's service, and returns its `currentStatus`.
 * In phase `run` there is no migration, and the migrated data remains.
 */
export function declareMigration(context: LabContext, target: MigrationTarget): pulumi.Output<unknown> | undefined {
  const { migration, phase } = context.config;
  if (!migration || phase === "run") return undefined;
  const options = { dependsOn: [...target.reachableThrough] };
  if (migration.engine === "azure") return declareAzureMigration(context, migration, target, options);
  return declareEmbeddedMigration(context, migration, target, options).currentStatus;
}

function declareEmbeddedMigration(
  context: LabContext,
  migration: MigrationConfig,
  target: MigrationTarget,
  { dependsOn }: { readonly dependsOn: pulumi.Resource[] },
): PgMigration {
  const servers = serversOf(context.config, migration, target);
  const runner = declareRunner(context, migration, target, { servers, dependsOn });
  return new PgMigration(
    migration.name,
    {
      ...servers,
      ...azureKeys(migration),
      sourceType: migration.source.type,
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
  const { host, port, user, sslMode, auth } = migration.source;
  const address = migration.targetBy === "address" ? privateAddress : undefined;
  return {
    source: { host, port, user, sslMode, ...(auth ? { auth } : { password: sourcePassword() }) },
    target: {
      host: address ?? server.fullyQualifiedDomainName,
      ...(migration.targetLogin ?? { user: administratorLogin, password: administratorPassword }),
      sslMode: migration.targetSslMode,
    },
  };
}

/** Declares the containers for the migration's worker, if the configuration has them. */
function declareRunner(
  { naming, group }: LabContext,
  { worker, runner, name }: MigrationConfig,
  { network }: MigrationTarget,
  { servers, dependsOn }: { readonly servers: Servers; readonly dependsOn: pulumi.Resource[] },
): ContainerGroupRunner | undefined {
  if (worker !== "container" || !runner || !network.runner) return undefined;
  const { image, registry, registryUser, identity, replicas, cpu, memoryGb } = runner;
  const job: pulumi.Output<WorkerJob> = pulumi.all([servers.source, servers.target]).apply(([source, target]) => ({
    migrationName: name,
    source,
    target,
  }));
  return new ContainerGroupRunner(
    naming.ofComponent("runner"),
    {
      resourceGroupName: group.name,
      location: group.location,
      subnetId: network.runner.id,
      image,
      registry: registry === undefined ? loginOf(registryUser) : { id: registry },
      job,
      identity,
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
