import { checkAddressPlan } from "./address-plan";
import type { LabConfig } from "./lab-config";
import { refusedRoute } from "./routes";
import { refusedZoneName } from "./zone-name";

interface Rule {
  readonly key: string;
  readonly isBroken: (config: LabConfig) => boolean;
  readonly rule: string;
}

/** Values that are right each by itself, and cannot go together. */
const rules: readonly Rule[] = [
  {
    key: "server.storageGb",
    isBroken: ({ server }) => server.storageGb < 1.25 * server.sourceSizeGb,
    rule: "is less than 1.25 x server.sourceSizeGb, which a migration needs; choose the next larger size",
  },
  {
    key: "server.highAvailability",
    isBroken: ({ server }) => server.highAvailability !== "Disabled" && server.sku.tier === "Burstable",
    rule: "burstable servers have none; set it to Disabled, or choose another server.sku.tier",
  },
  {
    key: "vpn.tenantId",
    isBroken: ({ vpn }) => vpn.enabled && vpn.authentication === "entra" && vpn.tenantId === undefined,
    rule: "is missing; Entra authentication asks for the tenant's id",
  },
  {
    key: "vpn.enabled",
    isBroken: ({ vpn, topology }) => vpn.enabled && topology === "public",
    rule: "a public server does not lie in the virtual network, so a VPN does not lead to it; leave it out",
  },
  {
    key: "firewallRules",
    isBroken: ({ firewallRules, topology }) => firewallRules.length > 0 && topology !== "public",
    rule: "only a public server has any; use network security groups, or topology public",
  },
  {
    key: "migration.triggerCutover",
    isBroken: ({ migration }) => migration?.triggerCutover === true && migration.mode === "Offline",
    rule: "an offline migration has no cutover; leave it out, or set migration.mode to Online",
  },
];

/** Everything that contradicts something else, each as `key: rule`. */
export function contradictions(config: LabConfig): string[] {
  const plan = checkAddressPlan(config.addressPlan).map(({ key, rule }) => `addressPlan.${key}: ${rule}`);
  const zone = config.topology === "public" ? undefined : refusedZoneName(config.zoneName, config.serverName);
  const route = config.phase === "migrate" ? refusedRoute(config) : undefined;
  return [
    ...plan,
    ...(zone === undefined ? [] : [`privateDnsZone: ${zone}`]),
    ...rules.filter(({ isBroken }) => isBroken(config)).map(({ key, rule }) => `${key}: ${rule}`),
    ...(route === undefined ? [] : [`${route.key}: ${route.reason}`]),
  ];
}
