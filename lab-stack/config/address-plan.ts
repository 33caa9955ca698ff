import { type Address4 } from "ip-address";
import { contains, InvalidAddressRangeError, overlap, parseAddressRange } from "./address-range";
import type { ConfigFailure } from "./config-failure";

/** The address range of each part of the lab, in CIDR notation. */
export interface AddressPlan {
  readonly virtualNetwork: string;
  /** Delegated to flexible servers. Azure allows no other resource in it. */
  readonly server: string;
  readonly privateEndpoints: string;
  /** For the machine or the containers that run a migration's worker. */
  readonly runner: string;
  readonly dnsResolver: string;
  /** For the source server, if there is one. */
  readonly source?: string | undefined;
  readonly gateway: string;
  /** Assigned to VPN clients. Outside the virtual network. */
  readonly vpnClients: string;
  /** Networks on premises. VPN clients route to both, so no range may overlap them. */
  readonly onPremises: readonly string[];
}

type Ranges = ReadonlyMap<string, Address4>;

/** Subnets of the virtual network, each with the longest prefix that Azure accepts. */
const subnets = {
  server: { longestPrefix: 28, reason: "flexible servers need a delegated subnet of at least 16 addresses" },
  privateEndpoints: { longestPrefix: 29, reason: "Azure reserves five addresses in every subnet" },
  runner: { longestPrefix: 28, reason: "up to eight containers need an address each, and Azure reserves five" },
  dnsResolver: { longestPrefix: 28, reason: "the subnet of an inbound endpoint has 16 to 256 addresses" },
  source: { longestPrefix: 29, reason: "Azure reserves five addresses in every subnet" },
  gateway: { longestPrefix: 27, reason: "gateway SKUs other than Basic need 32 addresses" },
} as const;

/** The subnet of an inbound endpoint must not be larger (Azure DNS Private Resolver, subnet restrictions). */
const shortestResolverPrefix = 24;

/** Ranges that virtual networks cannot use (Azure Virtual Network's frequently asked questions). */
const reserved = ["127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "168.63.129.16/32", "255.255.255.255/32"].map(
  parseAddressRange,
);

const rangeKeys = ["virtualNetwork", ...(Object.keys(subnets) as (keyof typeof subnets)[]), "vpnClients"] as const;

/** Returns everything that Azure would refuse in a plan, or an empty list. */
export function checkAddressPlan(plan: AddressPlan): ConfigFailure[] {
  const { ranges, failures } = parsePlan(plan);
  const found =
    failures.length > 0 ? failures : [...checkSizes(ranges), ...checkLocations(ranges), ...checkOverlaps(ranges)];
  return found.map(({ key, message }) => ({ key: `addressPlan.${key}`, message }));
}

/** Azure reserves the first four addresses of a subnet and the last one. */
export const firstUsableAddress = (range: string): string => parseAddressRange(range).offset(4).correctForm();

function parsePlan({ onPremises, ...plan }: AddressPlan): { ranges: Ranges; failures: ConfigFailure[] } {
  const ranges = new Map<string, Address4>();
  const failures: ConfigFailure[] = [];
  const texts = { ...plan, ...Object.fromEntries(onPremises.map((text, index) => [`onPremises.${index}`, text])) };
  for (const [key, text] of Object.entries(texts)) {
    if (text === undefined) continue;
    try {
      ranges.set(key, parseAddressRange(text));
    } catch (error) {
      if (!(error instanceof InvalidAddressRangeError)) throw error;
      failures.push({ key, message: error.message });
    }
  }
  return { ranges, failures };
}

function checkSizes(ranges: Ranges): ConfigFailure[] {
  const tooSmall = Object.entries(subnets)
    .filter(([key, { longestPrefix }]) => (ranges.get(key)?.subnetMask ?? 0) > longestPrefix)
    .map(([key, { longestPrefix, reason }]) => ({
      key,
      message: `${ranges.get(key)!.address} is too small, use /${longestPrefix} or larger: ${reason}`,
    }));
  const resolver = ranges.get("dnsResolver")!;
  if (resolver.subnetMask >= shortestResolverPrefix) return tooSmall;
  const message = `${resolver.address} is too large, use /${shortestResolverPrefix} or smaller: ${subnets.dnsResolver.reason}`;
  return [...tooSmall, { key: "dnsResolver", message }];
}

function checkLocations(ranges: Ranges): ConfigFailure[] {
  const network = ranges.get("virtualNetwork")!;
  const outside = Object.keys(subnets)
    .filter((key) => ranges.has(key))
    .filter((key) => !contains(network, ranges.get(key)!))
    .map((key) => ({ key, message: `${ranges.get(key)!.address} is outside the virtual network ${network.address}` }));
  const inReserved = rangeKeys
    .filter((key) => ranges.has(key))
    .flatMap((key) =>
      reserved
        .filter((range) => overlap(range, ranges.get(key)!))
        .map((range) => ({
          key,
          message: `${ranges.get(key)!.address} overlaps ${range.address}, which Azure reserves`,
        })),
    );
  return [...outside, ...inReserved];
}

function checkOverlaps(ranges: Ranges): ConfigFailure[] {
  const inside = Object.keys(subnets).filter((key) => ranges.has(key));
  const onPremises = [...ranges.keys()].filter((key) => key.startsWith("onPremises"));
  const pairs = [
    ...inside.flatMap((key, index) => inside.slice(0, index).map((other) => [key, other] as const)),
    ["vpnClients", "virtualNetwork"] as const,
    ...onPremises.flatMap((key) => [[key, "virtualNetwork"] as const, [key, "vpnClients"] as const]),
  ];
  return pairs
    .filter(([key, other]) => overlap(ranges.get(key)!, ranges.get(other)!))
    .map(([key, other]) => ({
      key,
      message: `${ranges.get(key)!.address} overlaps ${other} (${ranges.get(other)!.address})`,
    }));
}
