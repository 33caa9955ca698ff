import { Random, seedOf } from "./random";
import { type State, states } from "./regions";
import { fixed, type TableGenerators } from "./table-data";
import { streetKinds, streets } from "./documents/words";
import type { World } from "./world";

const addressSeed = seedOf("address");
const home = 2;
const mainOffice = 3;
const shipping = 5;

// An entry per country, as often as customers live there.
const countries = ["US", "US", "US", "US", "US", "AU", "AU", "GB", "FR", "DE", "CA"];
const statesOf = new Map(countries.map((country) => [country, states.filter((state) => state.country === country)]));

const headquarters = states.find((state) => state.country === "US" && state.code === "WA")!;

/** The state of the address with this index. Employees live near their offices, customers anywhere. */
export function stateOfAddress(world: World, index: number): State {
  if (index < world.employees) return headquarters;
  const random = new Random(addressSeed, index);
  return random.pick(statesOf.get(random.pick(countries))!);
}

function postalCode(state: State, random: Random): string {
  const letters = (count: number) => Array.from({ length: count }, () => random.letter("ABCEGHJKLMNPRSTVXY")).join("");
  switch (state.country) {
    case "AU":
      return `${random.between(2, 7)}${random.digits(3)}`;
    case "CA":
      return `${letters(1)}${random.digits(1)}${letters(1)} ${random.digits(1)}${letters(1)}${random.digits(1)}`;
    case "FR":
      return `${state.code}${random.digits(3)}`;
    case "GB":
      return `${letters(2)}${random.between(1, 20)} ${random.digits(1)}${letters(2)}`;
    default:
      return random.digits(5);
  }
}

/** The business entity of an address, and the address's type. */
function ownerOf(world: World, index: number): { entity: number; type: number } {
  if (index < world.firstStoreAddress) return { entity: index, type: home };
  if (index < world.firstVendorAddress) {
    const store = index - world.firstStoreAddress;
    return { entity: world.firstStore + (store % world.stores), type: store < world.stores ? mainOffice : shipping };
  }
  if (index < world.firstIndividualAddress) {
    return { entity: world.firstVendor + index - world.firstVendorAddress, type: mainOffice };
  }
  const individual = index - world.firstIndividualAddress;
  const type = individual < world.individuals ? home : shipping;
  return { entity: world.firstIndividual + (individual % world.individuals), type };
}

/** Addresses of persons, stores and vendors. */
export const addressTables: TableGenerators = {
  "person.addresstype": fixed(
    ["Billing", "Home", "Main Office", "Primary", "Shipping", "Archive"].map((name, index) => ({
      addresstypeid: index + 1,
      name,
    })),
  ),

  "person.address": (world) => ({
    count: world.addresses,
    row: (index, random) => {
      const state = stateOfAddress(world, index);
      return {
        addressid: index + 1,
        addressline1: `${random.between(1, 9_999)} ${random.pick(streets)} ${random.pick(streetKinds)}`,
        addressline2: random.chance(0.02) ? `# ${random.between(1, 900)}` : null,
        city: state.city,
        stateprovinceid: state.id,
        postalcode: postalCode(state, random),
        // A point in the form that SQL Server gives its geography type: 22 bytes.
        spatiallocation: Buffer.concat([Buffer.from("e6100000010c", "hex"), random.bytes(16)]),
      };
    },
  }),

  "person.businessentityaddress": (world) => ({
    count: world.addresses,
    row: (index) => {
      const owner = ownerOf(world, index);
      return { businessentityid: owner.entity + 1, addressid: index + 1, addresstypeid: owner.type };
    },
  }),
};
