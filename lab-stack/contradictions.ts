import { checkAddressPlan } from "./address-plan";
import { AddressRange } from "./address-range";
import type { LabConfig } from "./lab-config";
import { refusedRoute } from "./config/routes";
import { refusedZoneName } from "./zone-name";

interface Rule {
  readonly key: string;
  readonly isBroken: (config: LabConfig) => boolean;
  readonly rule: string;
}

/** A server's name is unique in all of Azure, and a label in its zone (Azure, "Naming rules and restrictions"). */
const serverName = /^[a-z0-9](?:[a-z0-9-]{1,61}[a-z0-9])$/;

const rangeOf = ({ start, end }: LabConfig["firewallRules"][number]) =>
  [start, end].map((address) => AddressRange.parse(`${address}/32`).first) as [number, number];

/** Values that are right each by itself, and cannot go together. */
const rules: readonly Rule[] = [
  {
    key: "server.name",
    isBroken: (config) => !serverName.test(config.serverName),
    rule: "is missing; what the lab's and the stack's name make is no server's name: give 3 to 63 lower-case letters, digits and hyphens, none at the ends",
  },
  {
    key: "firewallRules",
    isBroken: ({ firewallRules }) => firewallRules.some((rule) => rangeOf(rule)[0] > rangeOf(rule)[1]),
    rule: "a range ends before it starts; exchange start and end",
  },
  {
    key: "firewallRules",
    isBroken: ({ firewallRules }) => new Set(firewallRules.map(({ name }) => name)).size < firewallRules.length,
    rule: "two have the same name, and one would take the place of the other; rename one",
  },
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
  {
    key: "migration.runner",
    isBroken: ({ migration }) => migration?.worker === "container" && migration.runner === undefined,
    rule: "is missing; a worker in a container needs migration.runner.image",
  },
  {
    key: "migration.runner",
    isBroken: ({ migration }) => migration?.runner !== undefined && migration.worker !== "container",
    rule: "nothing would run in it; set migration.worker to container, or leave it out",
  },
  {
    key: "migration.worker",
    isBroken: ({ migration }) => migration?.worker === "container" && migration.engine === "azure",
    rule: "Azure's service runs by itself; leave it out, or set migration.engine to embedded",
  },
  {
    key: "migration.runner.registryUser",
    isBroken: ({ migration }) =>
      migration?.runner?.registryUser !== undefined && migration.runner.registry !== undefined,
    rule: "the runner's identity pulls from migration.runner.registry; leave one of the two out",
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
