import assert from "node:assert/strict";
import fc from "fast-check";
import { type AddressPlan, checkAddressPlan, firstUsableAddress } from "../../../lab-stack/config/address-plan";
import {
  contains,
  InvalidAddressRangeError,
  overlap,
  parseAddressRange,
} from "../../../lab-stack/config/address-range";
import { parseLabConfig } from "../../../lab-stack/config/lab-config";

const plan = parseLabConfig({}, "dev").addressPlan;
const check = (changes: Partial<AddressPlan>): string[] =>
  checkAddressPlan({ ...plan, ...changes }).map(({ key, message }) => `${key}: ${message}`);

describe("lab-stack: address plan", () => {
  it("accepts the default", () => assert.deepEqual(check({}), []));

  const wrong: readonly (readonly [what: string, changes: Partial<AddressPlan>, expected: RegExp])[] = [
    [
      "an address without a prefix",
      { server: "10.0.1.0" },
      /^addressPlan\.server: invalid address range "10\.0\.1\.0"/,
    ],
    [
      "a byte above 255",
      { server: "10.0.256.0/24" },
      /^addressPlan\.server: invalid address range "10\.0\.256\.0\/24"/,
    ],
    ["bits beyond the prefix", { server: "10.0.1.7/24" }, /^addressPlan\.server: .* write 10\.0\.1\.0\/24/],
    ["a subnet outside", { runner: "10.1.0.0/24" }, /^addressPlan\.runner: .* is outside the virtual network/],
    [
      "overlapping subnets",
      { runner: "10.0.1.128/25" },
      /^addressPlan\.runner: .* overlaps server \(10\.0\.1\.0\/24\)/,
    ],
    ["a small delegated subnet", { server: "10.0.1.0/29" }, /^addressPlan\.server: .* too small, use \/28 or larger/],
    ["a small gateway subnet", { gateway: "10.0.255.0/28" }, /^addressPlan\.gateway: .* too small, use \/27 or larger/],
    ["a large resolver subnet", { dnsResolver: "10.0.4.0/23" }, /^addressPlan\.dnsResolver: .* too large, use \/24/],
    ["VPN clients inside", { vpnClients: "10.0.9.0/24" }, /^addressPlan\.vpnClients: .* overlaps virtualNetwork/],
    ["a reserved range", { vpnClients: "169.254.1.0/24" }, /^addressPlan\.vpnClients: .* which Azure reserves/],
    [
      "a network on premises",
      { onPremises: ["10.0.0.0/8"] },
      /^addressPlan\.onPremises\.0: .* overlaps virtualNetwork/,
    ],
  ];
  for (const [what, changes, expected] of wrong)
    it(`refuses ${what}`, () => assert.match(check(changes).join("\n"), expected));

  it("skips the addresses that Azure reserves", () => assert.equal(firstUsableAddress("10.0.4.0/28"), "10.0.4.4"));

  it("finds an overlap exactly if two ranges share an address", () => {
    const range = fc.tuple(fc.integer({ min: 0, max: 255 }), fc.integer({ min: 24, max: 32 })).map(([last, length]) => {
      const size = 2 ** (32 - length);
      const first = last - (last % size);
      const addresses = Array.from({ length: size }, (_, index) => first + index);
      return { parsed: parseAddressRange(`10.0.0.${first}/${length}`), addresses };
    });
    fc.assert(
      fc.property(range, range, (one, other) => {
        const shared = one.addresses.filter((address) => other.addresses.includes(address));
        assert.equal(overlap(one.parsed, other.parsed), shared.length > 0);
        assert.equal(contains(one.parsed, other.parsed), shared.length === other.addresses.length);
      }),
    );
  });

  for (const text of ["10.0.0.0/33", "10.0.0.0/", "10.0.0.0/8/8", "10.0.0/8", "::1/64", "010.0.0.0/8", " 10.0.0.0/8"])
    it(`refuses the range "${text}"`, () => {
      assert.throws(() => parseAddressRange(text), InvalidAddressRangeError);
    });
});
