import * as pulumi from "@pulumi/pulumi";
import { z } from "zod";
import { contradictions } from "./contradictions";
import { LabError } from "./lab-error";
import { zoneNameOf } from "./zone-name";

/** `pulumi config set --path` makes a number of what looks like one. */
const text = z.union([z.string(), z.number(), z.boolean()], "is no text").transform(String);

/** Pulumi's configuration holds texts at the top level, so a switch arrives as "true". */
const flag = z.union([z.boolean(), z.stringbool()], "is neither true nor false");

const addressPlanSchema = z.strictObject({
  virtualNetwork: z.string().default("10.0.0.0/16"),
  server: z.string().default("10.0.1.0/24"),
  privateEndpoints: z.string().default("10.0.2.0/24"),
  runner: z.string().default("10.0.3.0/24"),
  dnsResolver: z.string().default("10.0.4.0/28"),
  gateway: z.string().default("10.0.255.0/27"),
  vpnClients: z.string().default("172.16.201.0/24"),
  onPremises: z.array(z.string()).default([]),
});

/** A compute size and its tier; `az postgres flexible-server list-skus` says which ones a region has. */
const skuSchema = z.strictObject({
  name: z.string().min(1),
  tier: z.enum(["Burstable", "GeneralPurpose", "MemoryOptimized"]),
});

const entraAdministratorSchema = z.strictObject({
  objectId: z.guid("give the object id of the user, group or service principal"),
  principalName: z.string().min(1),
  principalType: z.enum(["User", "Group", "ServicePrincipal"]).default("User"),
  tenantId: z.guid("give the id of the Entra tenant"),
});

const serverSchema = z.strictObject({
  /** Unique in all of Azure; the lab's name and the stack's unless told. */
  name: z
    .string()
    .regex(/^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/, "use 3 to 63 lower-case letters, digits and hyphens, none at the ends")
    .optional(),
  version: text.pipe(z.enum(["13", "14", "15", "16", "17", "18"])).default("17"),
  administratorLogin: z
    .string()
    .regex(/^[a-z_][a-z0-9_]{0,62}$/i, "use letters, digits and underscores, not starting with a digit")
    .refine((name) => !/^(azure_superuser|azure_pg_admin|admin|administrator|root|guest|public|pg_.*)$/i.test(name), {
      error: "Azure keeps this name for itself; choose another one, such as pgadmin",
    })
    .default("pgadmin"),
  /** The size in everyday use. */
  sku: skuSchema.default({ name: "Standard_D2ds_v5", tier: "GeneralPurpose" }),
  /** A larger one while migrating, if any. */
  migrationSku: skuSchema.optional(),
  storageGb: z
    .literal(
      [32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32767],
      "is no size of Azure's premium disks in GiB",
    )
    .default(128),
  /** The size of all databases that will be migrated. */
  sourceSizeGb: z.number().nonnegative().default(0),
  /** What is switched on after the migration. */
  highAvailability: z.enum(["Disabled", "SameZone", "ZoneRedundant"]).default("ZoneRedundant"),
  availabilityZone: text.optional(),
  backupRetentionDays: z.number().int().min(7).max(35).default(7),
  entraAdministrator: entraAdministratorSchema.optional(),
});

const parametersSchema = z.strictObject({
  /** Extensions that the source's databases use. */
  extensions: z.array(z.string().min(1)).default(["TABLEFUNC", "UUID-OSSP"]),
  /** The server is to be the source of a later migration, or of the way back. */
  isSource: z.boolean().default(false),
  /** Further ones, by their PostgreSQL name; they win over those that the lab sets itself. */
  more: z.record(z.string().regex(/^[a-z_][a-z0-9_.-]*$/i, "is no parameter's name"), text).default({}),
  /** What differs between the source's server and this one: left alone, told as a warning, or set. */
  fromSource: z.enum(["ignore", "propose", "apply"]).default("ignore"),
});

const vpnSchema = z.strictObject({
  enabled: z.boolean().optional(),
  sku: z
    .enum(
      ["VpnGw1AZ", "VpnGw2AZ", "VpnGw3AZ", "VpnGw4AZ", "VpnGw5AZ"],
      "only zone-redundant SKUs are offered for new gateways",
    )
    .default("VpnGw1AZ"),
  /** Availability zones of the gateway's address; none in a region that has none. */
  zones: z.array(text).default(["1", "2", "3"]),
  authentication: z.enum(["certificate", "entra"]).default("certificate"),
  /** The root certificate's DER form in base64, without PEM header; or a file in that form or in PEM. */
  rootCertificate: z.string().optional(),
  rootCertificateFile: z.string().default("certificates/vpn-root.pem"),
  tenantId: z.guid("give the id of the Entra tenant").optional(),
  /** The application of Azure VPN Client that Microsoft has registered for all of Azure. */
  audience: z.guid().default("c632b3df-fb67-4d84-bdcf-b95ad541b5c8"),
});

const firewallRuleSchema = z.strictObject({
  name: z.string().regex(/^[A-Za-z0-9_-]{1,128}$/, "use letters, digits, hyphens and underscores"),
  start: z.ipv4("is no IPv4 address"),
  end: z.ipv4("is no IPv4 address"),
});

/** The container that a migration's worker runs in. */
const runnerSchema = z.strictObject({
  /** What the repository's Dockerfile makes, as it was pushed. */
  image: z
    .string()
    .regex(/^[^\s/]+(\/[^\s/]+)+(:[\w.-]+|@sha256:[0-9a-f]{64})$/, "write registry/repository:tag, as it was pushed"),
  /** The resource id of a registry of Azure's, from which the runner's identity may then pull. */
  registry: z
    .string()
    .regex(
      /^\/subscriptions\/[^/]+\/resourceGroups\/[^/]+\/providers\/Microsoft\.ContainerRegistry\/registries\/[^/]+$/i,
      "is no container registry's resource id; az acr show --query id tells it",
    )
    .optional(),
  /** A user of another registry, with the secret registryPassword. */
  registryUser: z.string().min(1).optional(),
  /** Worker processes: one leads the migration, the others share its copy, and take the lead when it is gone. */
  replicas: z.number().int().min(1).max(8).default(1),
  cpu: z.number().min(1).max(4).default(2),
  memoryGb: z.number().min(1).max(16).default(4),
});

const migrationSchema = z.strictObject({
  /** `embedded` declares a PgMigration, `azure` Microsoft's own service. */
  engine: z.enum(["embedded", "azure"]).default("embedded"),
  name: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9-]{0,62}$/, "use letters, digits and hyphens")
    .default("lab-migration"),
  source: z.strictObject({
    host: z.string().min(1),
    port: z.number().int().min(1).max(65535).default(5432),
    user: z.string().min(1),
    sslMode: z.enum(["Disable", "Prefer", "Require", "VerifyCA", "VerifyFull"]).default("Prefer"),
    /** Where the source is seen from: any network, one on premises, or this virtual network and its peers. */
    network: z.enum(["public", "onPremises", "virtualNetwork"]).default("onPremises"),
    /** Azure's name for its kind; only Azure's own service asks. */
    type: z.string().default("OnPremises"),
  }),
  databases: z.array(z.string().min(1)).min(1, "name at least one database"),
  mode: z.enum(["Offline", "Online"]).default("Offline"),
  option: z.enum(["Validate", "Migrate", "ValidateAndMigrate"]).default("ValidateAndMigrate"),
  overwrite: z.boolean().default(false),
  triggerCutover: z.boolean().default(false),
  /** Where the embedded engine's worker runs: where `pulumi up` does, or in a container in the virtual network. */
  worker: z.enum(["onPremises", "virtualNetwork", "container"]).default("onPremises"),
  runner: runnerSchema.optional(),
  /** `address` for workers that cannot resolve the private zone. */
  targetBy: z.enum(["name", "address"]).default("name"),
  targetSslMode: z.enum(["Disable", "Prefer", "Require", "VerifyCA", "VerifyFull"]).default("Require"),
  /** A runtime server's resource id: by it Azure's own service reaches private endpoints. */
  runtimeServer: z.string().optional(),
});

const labSchema = z.strictObject({
  /** Part of every resource's name. */
  name: z
    .string()
    .regex(/^[a-z][a-z0-9-]{1,18}[a-z0-9]$/, "use 3 to 20 lower-case letters, digits and hyphens")
    .default("pglab"),
  location: z.string().min(1).default("westeurope"),
  topology: z.enum(["private", "public", "privateEndpoint"]).default("private"),
  phase: z.enum(["migrate", "run"]).default("migrate"),
  tags: z.record(z.string(), text).default({}),
  /** Pulumi refuses to delete or replace what holds data. */
  protectData: flag.default(true),
  addressPlan: addressPlanSchema.prefault({}),
  /** Ends in .postgres.database.azure.com; from the lab's name unless told. */
  privateDnsZone: z.string().optional(),
  server: serverSchema.prefault({}),
  parameters: parametersSchema.prefault({}),
  firewallRules: z.array(firewallRuleSchema).default([]),
  vpn: vpnSchema.prefault({}),
  /** A virtual network's machine reaches the lab's by peering or ExpressRoute that somebody else has set up. */
  connectedElsewhere: flag.default(false),
  migration: migrationSchema.optional(),
  /** A flexible server whose firewall rules, parameters, tags and alerts the new one takes over; its resource id. */
  existingServer: z
    .string()
    .regex(
      /^\/subscriptions\/[^/]+\/resourceGroups\/[^/]+\/providers\/Microsoft\.DBforPostgreSQL\/flexibleServers\/[^/]+$/i,
      "is no flexible server's resource id; az postgres flexible-server show --query id tells it",
    )
    .optional(),
  /** Azure Resource Manager; another one in sovereign clouds. */
  resourceManager: z.url().default("https://management.azure.com"),
});

type ParsedConfig = z.output<typeof labSchema>;

/** The lab's configuration, checked, with defaults and what follows from them. Secrets are read where they are used. */
export interface LabConfig extends Omit<ParsedConfig, "vpn"> {
  readonly serverName: string;
  readonly zoneName: string;
  readonly vpn: Omit<ParsedConfig["vpn"], "enabled"> & { readonly enabled: boolean };
}

/** What `pulumi config set` accepts, with lists and objects as they are. */
export type RawLabConfig = z.input<typeof labSchema>;

/** The stack's configuration is wrong. Names every key that is, and the rule that it breaks. */
export class InvalidLabConfig extends LabError {
  constructor(readonly failures: readonly string[]) {
    super(`The lab's configuration is not valid:\n${failures.map((failure) => `  ${failure}`).join("\n")}`);
  }
}

/** Keys that are read where they are used, as secrets. */
const secretKeys = ["administratorPassword", "sourcePassword", "registryPassword"];

/** Reads the stack's configuration. @throws InvalidLabConfig */
export function readLabConfig(config: pulumi.Config, stack: string): LabConfig {
  const prefix = `${config.name}:`;
  const raw: Record<string, unknown> = {};
  for (const [fullKey, text] of Object.entries(pulumi.runtime.allConfig())) {
    const key = fullKey.slice(prefix.length);
    if (!fullKey.startsWith(prefix) || secretKeys.includes(key)) continue;
    raw[key] = /^\s*[[{]/.test(text) ? config.getObject(key) : text;
  }
  return parseLabConfig(raw, stack);
}

/** @throws InvalidLabConfig naming all keys that are wrong, at once */
export function parseLabConfig(raw: unknown, stack: string): LabConfig {
  const parsed = labSchema.safeParse(raw);
  if (!parsed.success) throw new InvalidLabConfig(parsed.error.issues.flatMap(explain));
  const { vpn, ...rest } = parsed.data;
  const serverName = rest.server.name ?? `psql-${rest.name}-${stack}`;
  const config: LabConfig = {
    ...rest,
    serverName,
    zoneName: zoneNameOf({ lab: rest.name, stack, topology: rest.topology, wanted: rest.privateDnsZone }),
    vpn: { ...vpn, enabled: vpn.enabled ?? rest.topology !== "public" },
  };
  const failures = contradictions(config);
  if (failures.length > 0) throw new InvalidLabConfig(failures);
  return config;
}

function explain(issue: z.core.$ZodIssue): string[] {
  const key = issue.path.map(String).join(".");
  if (issue.code === "unrecognized_keys")
    return issue.keys.map((name) => `${[key, name].filter(Boolean).join(".")}: there is no such key`);
  if (issue.code === "invalid_value" && issue.message.startsWith("Invalid"))
    return [`${key}: is none of ${issue.values.map(String).join(", ")}`];
  return [`${key}: ${issue.message}`];
}
