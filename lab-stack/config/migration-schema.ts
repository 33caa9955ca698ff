import { SourceType } from "@pulumi/azure-native/types/enums/dbforpostgresql";
import { z } from "zod";
import { resourceId } from "./scalar-schemas";
import { expected } from "./schema-messages";

const databaseNames = z.array(z.string().min(1)).min(1, expected("at least one database"));
const moment = z.iso.datetime(expected("a time such as 2030-01-31T22:00:00Z"));
const sslMode = z.enum(["Disable", "Prefer", "Require", "VerifyCA", "VerifyFull"]);

/** A login with tokens, as the input `auth` of PgMigration. It needs an sslMode with TLS. */
const authentication = z.strictObject({
  kind: z.enum(["entra"]),
  credential: z.enum(["default", "managedIdentity", "workloadIdentity", "environment", "azureCli"]).default("default"),
  clientId: z.guid(expected("the client id of a managed identity")).optional(),
});

/** The containers that run the migration's worker. */
const runnerSchema = z.strictObject({
  /** The image built from the repository's Dockerfile. */
  image: z.string().regex(/^[^\s/]+(\/[^\s/]+)+(:[\w.-]+|@sha256:[0-9a-f]{64})$/, expected("registry/repository:tag")),
  /** An Azure container registry. The runner's identity receives the role AcrPull on it. */
  registry: resourceId("Microsoft.ContainerRegistry/registries", "az acr show").optional(),
  /** A user of another registry, with the secret registryPassword. */
  registryUser: z.string().min(1).optional(),
  /** A managed identity with which the worker obtains tokens of Microsoft Entra. Name its client id in `auth`. */
  identity: resourceId("Microsoft.ManagedIdentity/userAssignedIdentities", "az identity show").optional(),
  /** Worker processes. One leads the migration. The others help to copy, and one of them takes over if the leader fails. */
  replicas: z.number().int().min(1).max(8).default(1),
  cpu: z.number().min(1).max(4).default(2),
  memoryGb: z.number().min(1).max(16).default(4),
});

const sourceSchema = z.strictObject({
  host: z.string().min(1),
  port: z.number().int().min(1).max(65535).default(5432),
  user: z.string().min(1),
  /** Instead of the secret sourcePassword. */
  auth: authentication.optional(),
  sslMode: sslMode.default("Prefer"),
  /** The network of the source: the internet, a network on premises, or this virtual network and its peers. */
  network: z.enum(["public", "onPremises", "virtualNetwork"]).default("onPremises"),
  /** Azure's name for the kind of source. */
  type: z.enum(SourceType).default("OnPremises"),
});

export const migrationSchema = z.strictObject({
  /** `embedded` declares a PgMigration, `azure` uses Microsoft's migration service. */
  engine: z.enum(["embedded", "azure"]).default("embedded"),
  name: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9-]{0,62}$/, expected("letters, digits and hyphens"))
    .default("lab-migration"),
  source: sourceSchema,
  databases: databaseNames,
  mode: z.enum(["Offline", "Online"]).default("Offline"),
  option: z.enum(["Validate", "Migrate", "ValidateAndMigrate"]).default("ValidateAndMigrate"),
  overwrite: z.boolean().default(false),
  triggerCutover: z.boolean().default(false),
  /** Azure's keys, with their meaning in Azure. Both engines accept them. */
  dbsToTriggerCutoverOn: databaseNames.optional(),
  cancel: z.boolean().default(false),
  dbsToCancelMigrationOn: databaseNames.optional(),
  migrateRoles: z.boolean().default(false),
  setupLogicalReplicationOnSourceDbIfNeeded: z.boolean().default(false),
  startDataMigration: z.boolean().default(true),
  migrationWindowStartTimeInUtc: moment.optional(),
  migrationWindowEndTimeInUtc: moment.optional(),
  sourceDbServerFullyQualifiedDomainName: z.string().min(1).optional(),
  targetDbServerFullyQualifiedDomainName: z.string().min(1).optional(),
  /** Where the embedded engine's worker runs. */
  worker: z.enum(["onPremises", "virtualNetwork", "container"]).default("onPremises"),
  runner: runnerSchema.optional(),
  /** `address` is for workers that cannot resolve names in the private zone. */
  targetBy: z.enum(["name", "address"]).default("name"),
  targetSslMode: sslMode.default("Require"),
  /** A role of Microsoft Entra that migrates, instead of the server's administrator. */
  targetLogin: z.strictObject({ user: z.string().min(1), auth: authentication }).optional(),
  /** The resource id of a runtime server, through which Microsoft's service reaches private endpoints. */
  runtimeServer: z.string().optional(),
});
