import { AddressRange, InvalidAddressRange } from "./address-range";

/** Which addresses each part of the lab gets, in CIDR notation. */
export interface AddressPlan {
  readonly virtualNetwork: string;
  /** Delegated to flexible servers, and theirs alone. */
  readonly server: string;
  readonly privateEndpoints: string;
  /** Where a migration's worker may run. */
  readonly runner: string;
  readonly dnsResolver: string;
  readonly gateway: string;
  /** Given to VPN clients; outside the virtual network. */
  readonly vpnClients: string;
  /** Networks on premises, which no range may overlap, since VPN clients route to both. */
  readonly onPremises: readonly string[];
}

export interface PlanFailure {
  /** The plan's key that is wrong. */
  readonly key: string;
  readonly rule: string;
}

/** Subnets of the virtual network, with the longest prefix that Azure accepts for what lives there. */
const subnets = {
  server: { longest: 28, why: "flexible servers need a delegated subnet of at least 16 addresses" },
  privateEndpoints: { longest: 29, why: "Azure keeps five addresses of every subnet" },
  runner: { longest: 28, why: "up to eight containers have an address each, and Azure keeps five" },
  dnsResolver: { longest: 28, why: "an inbound endpoint's subnet has between 16 and 256 addresses" },
  gateway: { longest: 27, why: "gateway SKUs other than Basic need 32 addresses" },
} as const;

/** An inbound endpoint's subnet may not be larger (Azure DNS Private Resolver, subnet restrictions). */
const shortestForResolver = 24;

/** Addresses that virtual networks cannot use (Azure Virtual Network's frequently asked questions). */
const reserved = ["127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "168.63.129.16/32", "255.255.255.255/32"];

type RangeKey = Exclude<keyof AddressPlan, "onPremises">;
const rangeKeys: readonly RangeKey[] = [
  "virtualNetwork",
  "server",
  "privateEndpoints",
  "runner",
  "dnsResolver",
  "gateway",
  "vpnClients",
];

/** Everything that is wrong with a plan; nothing when Azure will take it. */
export function checkAddressPlan(plan: AddressPlan): PlanFailure[] {
  const { ranges, failures } = parsePlan(plan);
  if (failures.length > 0) return failures;
  return [...checkSizes(ranges), ...checkPlaces(ranges), ...checkOverlaps(ranges)];
}

/** Azure gives a subnet's first four addresses and the last one to itself, so this is the first free one. */
export const firstUsableAddress = (range: string): string => AddressRange.parse(range).at(4);

function parsePlan(plan: AddressPlan): { ranges: ReadonlyMap<string, AddressRange>; failures: PlanFailure[] } {
  const ranges = new Map<string, AddressRange>();
  const failures: PlanFailure[] = [];
  const texts = [
    ...rangeKeys.map((key): [string, string] => [key, plan[key]]),
    ...plan.onPremises.map((text, index): [string, string] => [`onPremises[${index}]`, text]),
  ];
  for (const [key, text] of texts) {
    try {
      ranges.set(key, AddressRange.parse(text));
    } catch (error) {
      if (!(error instanceof InvalidAddressRange)) throw error;
      failures.push({ key, rule: error.message });
    }
  }
  return { ranges, failures };
}

function checkSizes(ranges: ReadonlyMap<string, AddressRange>): PlanFailure[] {
  const failures: PlanFailure[] = [];
  for (const [key, { longest, why }] of Object.entries(subnets)) {
    const range = ranges.get(key)!;
    if (range.prefixLength > longest)
      failures.push({ key, rule: `${range.text} is too small, use /${longest} or larger: ${why}` });
  }
  const resolver = ranges.get("dnsResolver")!;
  if (resolver.prefixLength < shortestForResolver)
    failures.push({
      key: "dnsResolver",
      rule: `${resolver.text} is too large, use /${shortestForResolver} or smaller: ${subnets.dnsResolver.why}`,
    });
  return failures;
}

function checkPlaces(ranges: ReadonlyMap<string, AddressRange>): PlanFailure[] {
  const network = ranges.get("virtualNetwork")!;
  const outside = Object.keys(subnets)
    .filter((key) => !network.contains(ranges.get(key)!))
    .map((key) => ({ key, rule: `${ranges.get(key)!.text} does not lie in the virtual network ${network.text}` }));
  const clients = ranges.get("vpnClients")!;
  const pool = clients.overlaps(network)
    ? [
        {
          key: "vpnClients",
          rule: `${clients.text} overlaps the virtual network ${network.text}; clients get addresses outside of it`,
        },
      ]
    : [];
  const forbidden = rangeKeys.flatMap((key) =>
    reserved
      .filter((text) => AddressRange.parse(text).overlaps(ranges.get(key)!))
      .map((text) => ({ key, rule: `${ranges.get(key)!.text} overlaps ${text}, which Azure keeps for itself` })),
  );
  return [...outside, ...pool, ...forbidden];
}

function checkOverlaps(ranges: ReadonlyMap<string, AddressRange>): PlanFailure[] {
  const inside = Object.keys(subnets);
  const onPremises = [...ranges.keys()].filter((key) => key.startsWith("onPremises"));
  const pairs = [
    ...inside.flatMap((key, index) => inside.slice(0, index).map((other) => [key, other] as const)),
    ...onPremises.flatMap((key) => [[key, "virtualNetwork"] as const, [key, "vpnClients"] as const]),
  ];
  return pairs
    .filter(([key, other]) => ranges.get(key)!.overlaps(ranges.get(other)!))
    .map(([key, other]) => ({ key, rule: `${ranges.get(key)!.text} overlaps ${other}, ${ranges.get(other)!.text}` }));
}
