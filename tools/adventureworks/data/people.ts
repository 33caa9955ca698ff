import type { Person } from "./documents/person";
import { additionalContactInfo, personDemographics } from "./documents/person-documents";
import { Random, seedOf } from "./random";
import { fixed, type TableGenerators } from "./table-data";
import { familyNames, givenNames } from "./documents/words";
import type { World } from "./world";

const personSeed = seedOf("person");

/** The person with an index from 0 to world.persons - 1. Identifiers are one higher. */
export function personAt(index: number): Person {
  const random = new Random(personSeed, index);
  const gender = random.pick(["F", "M"] as const);
  return {
    gender,
    given: random.pick(givenNames[gender]),
    middle: random.chance(0.57) ? String.fromCharCode(65 + random.below(26)) : null,
    family: random.pick(familyNames),
  };
}

export function emailOf(index: number): string {
  const plain = personAt(index)
    .given.normalize("NFD")
    .replace(/[^A-Za-z]/g, "");
  return `${plain.toLowerCase()}${index}@adventureworks.example`;
}

/** EM employee, SP salesperson, SC store contact, VC vendor contact, IN individual customer, GC general contact */
function personType(world: World, index: number): string {
  if (index < world.employees - world.salespeople) return "EM";
  if (index < world.firstStoreContact) return "SP";
  if (index < world.firstVendorContact) return "SC";
  if (index < world.firstIndividual) return "VC";
  if (index < world.firstGeneralContact) return "IN";
  return "GC";
}

const contactTypes = [
  ...["Accounting Manager", "Assistant Sales Agent", "Assistant Sales Representative", "Coordinator Foreign Markets"],
  ...["Export Administrator", "International Marketing Manager", "Marketing Assistant", "Marketing Manager"],
  ...["Marketing Representative", "Order Administrator", "Owner", "Owner/Marketing Assistant", "Product Manager"],
  ...["Purchasing Agent", "Purchasing Manager", "Regional Account Representative", "Sales Agent", "Sales Associate"],
  ...["Sales Manager", "Sales Representative"],
];

/** Persons with their email addresses and phone numbers. */
export const peopleTables: TableGenerators = {
  "person.businessentity": (world) => ({
    count: world.businessEntities,
    row: (index) => ({ businessentityid: index + 1 }),
  }),

  "person.person": (world) => ({
    count: world.persons,
    row: (index, random) => {
      const person = personAt(index);
      const title = random.chance(0.95) ? null : person.gender === "F" ? "Ms." : "Mr.";
      return {
        businessentityid: index + 1,
        persontype: personType(world, index),
        namestyle: false,
        title,
        firstname: person.given,
        middlename: person.middle,
        lastname: person.family,
        suffix: random.chance(0.003) ? "Jr." : null,
        emailpromotion: random.below(3),
        additionalcontactinfo: index % 100 === 0 ? additionalContactInfo(random) : null,
        demographics: personDemographics(random, person),
      };
    },
  }),

  "person.emailaddress": (world) => ({
    count: world.persons,
    row: (index) => ({ businessentityid: index + 1, emailaddressid: index + 1, emailaddress: emailOf(index) }),
  }),

  "person.password": (world) => ({
    count: world.persons,
    row: (index, random) => ({
      businessentityid: index + 1,
      passwordhash: random.bytes(32).toString("base64"),
      passwordsalt: random.bytes(5).toString("base64"),
    }),
  }),

  "person.personphone": (world) => ({
    count: world.persons,
    row: (index, random) => ({
      businessentityid: index + 1,
      phonenumber: `${random.between(200, 989)}-555-01${random.digits(2)}`,
      phonenumbertypeid: random.between(1, 3),
    }),
  }),

  "person.phonenumbertype": fixed(
    ["Cell", "Home", "Work"].map((name, index) => ({ phonenumbertypeid: index + 1, name })),
  ),

  "person.businessentitycontact": (world) => ({
    count: world.storeContacts + world.vendorContacts,
    row: (index, random) => {
      const vendorContact = index - world.storeContacts;
      const entity =
        vendorContact < 0
          ? world.firstStore + (index % world.stores)
          : world.firstVendor + (vendorContact % world.vendors);
      return {
        businessentityid: entity + 1,
        personid: world.firstStoreContact + index + 1,
        contacttypeid: random.between(1, contactTypes.length),
      };
    },
  }),

  "person.contacttype": fixed(contactTypes.map((name, index) => ({ contacttypeid: index + 1, name }))),
};
