import assert from "node:assert/strict";
import fc from "fast-check";
import { type AddressPlan, checkAddressPlan, firstUsableAddress } from "../../lab-stack/address-plan";
import { AddressRange, InvalidAddressRange } from "../../lab-stack/address-range";
import { parseLabConfig } from "../../lab-stack/lab-config";

const plan = parseLabConfig({}, "dev").addressPlan;
const check = (changes: Partial<AddressPlan>): string[] =>
  checkAddressPlan({ ...plan, ...changes }).map(({ key, rule }) => `${key}: ${rule}`);

describe("lab-stack: address plan", () => {
  it("accepts the default", () => assert.deepEqual(check({}), []));

  const wrong: readonly (readonly [what: string, changes: Partial<AddressPlan>, expected: RegExp])[] = [
    ["text that is no range", { server: "10.0.1" }, /^server: 10\.0\.1 is no range/],
    ["an address beyond 255", { server: "10.0.256.0/24" }, /^server: 10\.0\.256\.0 is no IPv4 address/],
    ["bits beyond the prefix", { server: "10.0.1.7/24" }, /^server: .* write 10\.0\.1\.0\/24/],
    ["a subnet outside", { runner: "10.1.0.0/24" }, /^runner: .* does not lie in the virtual network/],
    ["overlapping subnets", { runner: "10.0.1.128/25" }, /^runner: 10\.0\.1\.128\/25 overlaps server, 10\.0\.1\.0\/24/],
    ["a delegated subnet too small", { server: "10.0.1.0/29" }, /^server: .* too small, use \/28 or larger/],
    ["a gateway's subnet too small", { gateway: "10.0.255.0/28" }, /^gateway: .* too small, use \/27 or larger/],
    [
      "a resolver's subnet too large",
      { dnsResolver: "10.0.4.0/23" },
      /^dnsResolver: .* too large, use \/24 or smaller/,
    ],
    ["VPN clients inside", { vpnClients: "10.0.9.0/24" }, /^vpnClients: .* overlaps the virtual network/],
    ["addresses that Azure keeps", { vpnClients: "169.254.1.0/24" }, /^vpnClients: .* which Azure keeps for itself/],
    [
      "a network on premises",
      { onPremises: ["10.0.0.0/8"] },
      /^onPremises\[0\]: 10\.0\.0\.0\/8 overlaps virtualNetwork/,
    ],
  ];
  for (const [what, changes, expected] of wrong)
    it(`refuses ${what}`, () => assert.match(check(changes).join("\n"), expected));

  it("knows the first address that is not Azure's own", () =>
    assert.equal(firstUsableAddress("10.0.4.0/28"), "10.0.4.4"));

  it("sees an overlap just where ranges share an address", () => {
    const range = fc.tuple(fc.integer({ min: 0, max: 255 }), fc.integer({ min: 24, max: 32 })).map(([last, length]) => {
      const size = 2 ** (32 - length);
      return AddressRange.parse(`10.0.0.${last - (last % size)}/${length}`);
    });
    fc.assert(
      fc.property(range, range, (one, other) => {
        const addresses = ({ first, last }: AddressRange) =>
          Array.from({ length: last - first + 1 }, (_, i) => first + i);
        const shared = addresses(one).filter((address) => addresses(other).includes(address));
        assert.equal(one.overlaps(other), shared.length > 0);
        assert.equal(one.contains(other), shared.length === addresses(other).length);
      }),
    );
  });

  it("refuses prefixes that are none", () => {
    for (const text of ["10.0.0.0/33", "10.0.0.0/", "10.0.0.0/8/8", "::1/64"])
      assert.throws(() => AddressRange.parse(text), InvalidAddressRange);
  });
});
