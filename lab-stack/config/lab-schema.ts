import { z } from "zod";
import { migrationSchema } from "./migration-schema";
import { monitoringSchema, sourceServerSchema } from "./options-schema";
import { parametersSchema } from "./parameters-schema";
import { flag, resourceId, text } from "./scalar-schemas";
import { expected } from "./schema-messages";
import { serverSchema } from "./server-schema";
import { vpnSchema } from "./vpn-schema";

const addressPlanSchema = z.strictObject({
  virtualNetwork: z.string().default("10.0.0.0/16"),
  server: z.string().default("10.0.1.0/24"),
  privateEndpoints: z.string().default("10.0.2.0/24"),
  runner: z.string().default("10.0.3.0/24"),
  dnsResolver: z.string().default("10.0.4.0/28"),
  gateway: z.string().default("10.0.255.0/27"),
  /** Only with `sourceServer`. Default: 10.0.5.0/24. */
  source: z.string().optional(),
  vpnClients: z.string().default("172.16.201.0/24"),
  onPremises: z.array(z.string()).default([]),
});

const firewallRuleSchema = z.strictObject({
  name: z.string().regex(/^[A-Za-z0-9_-]{1,128}$/, expected("letters, digits, hyphens and underscores")),
  start: z.ipv4(expected("an IPv4 address")),
  end: z.ipv4(expected("an IPv4 address")),
});

/** Azure, "Use tags to organize your Azure resources": limits on names and values. */
const tagName = z
  .string()
  .regex(/^[^<>%&\\?/]{1,512}$/, expected(String.raw`1 to 512 characters without < > % & \ ? /`))
  .refine((name) => !/^(microsoft|azure|windows)/i.test(name), {
    error: "Azure reserves tags that start with microsoft, azure or windows",
  });

export const labSchema = z.strictObject({
  /** Part of the name of every resource. */
  name: z
    .string()
    .regex(/^[a-z][a-z0-9-]{1,18}[a-z0-9]$/, expected("3 to 20 lower-case letters, digits and hyphens"))
    .default("pglab"),
  location: z
    .string()
    .regex(/^[a-z0-9]+$/, expected("the name of a region such as westeurope, see az account list-locations"))
    .default("westeurope"),
  topology: z.enum(["private", "public", "privateEndpoint"]).default("private"),
  phase: z.enum(["migrate", "run"]).default("migrate"),
  tags: z.record(tagName, text.pipe(z.string().max(256, expected("at most 256 characters")))).default({}),
  /** Pulumi refuses to delete or replace the server and its resource group. */
  protectData: flag.default(true),
  addressPlan: addressPlanSchema.prefault({}),
  /** Ends in .postgres.database.azure.com. Default: made from the names of the lab and the stack. */
  privateDnsZone: z.string().optional(),
  server: serverSchema.prefault({}),
  parameters: parametersSchema.prefault({}),
  firewallRules: z.array(firewallRuleSchema).default([]),
  vpn: vpnSchema.prefault({}),
  /** Peering, ExpressRoute or site-to-site VPN from outside this stack reaches the virtual network. */
  connectedElsewhere: flag.default(false),
  /** Virtual networks to peer with. */
  peering: z.array(resourceId("Microsoft.Network/virtualNetworks", "az network vnet show")).default([]),
  /** A network security group for the server's subnet. */
  securityGroup: flag.default(false),
  monitoring: monitoringSchema.optional(),
  sourceServer: sourceServerSchema.optional(),
  migration: migrationSchema.optional(),
  /** A flexible server whose firewall rules, parameters, tags and alerts the new server copies. */
  existingServer: resourceId(
    "Microsoft.DBforPostgreSQL/flexibleServers",
    "az postgres flexible-server show",
  ).optional(),
  /** Azure Resource Manager. Sovereign clouds have another URL. */
  resourceManager: z.url(expected("a URL")).default("https://management.azure.com"),
});

type ParsedConfig = z.output<typeof labSchema>;

/** The checked configuration with defaults and derived names. Secrets are read where they are used. */
export interface LabConfig extends Omit<ParsedConfig, "vpn"> {
  readonly serverName: string;
  readonly zoneName: string;
  readonly vpn: Omit<ParsedConfig["vpn"], "enabled"> & { readonly enabled: boolean };
}

export type MigrationConfig = NonNullable<LabConfig["migration"]>;

/** The values that `pulumi config set` accepts, with lists and objects in their JavaScript form. */
export type RawLabConfig = z.input<typeof labSchema>;
