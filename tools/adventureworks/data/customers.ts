import { moment } from "./calendar";
import { stateOfAddress } from "./addresses";
import { decimal, money } from "./decimal";
import { Random, seedOf } from "./random";
import type { TableGenerators } from "./table-data";
import { companyWords, storeKinds } from "./documents/words";
import type { World } from "./world";
import { elements } from "./documents/xml";

const survey = "urn:adventureworks:store-survey";
const storeSeed = seedOf("store");

/** A customer: a person, or a person who buys for a store. All numbers are indexes. */
export interface Customer {
  readonly customer: number;
  readonly address: number;
  readonly creditCard: number | null;
  readonly store: number | null;
}

export function individualCustomer(world: World, individual: number): Customer {
  return {
    customer: world.stores + individual,
    address: world.firstIndividualAddress + individual,
    creditCard: individual < world.creditCards ? individual : null,
    store: null,
  };
}

export function storeCustomer(world: World, buyer: number): Customer {
  const store = buyer % world.stores;
  const creditCard = world.individuals + buyer;
  return {
    customer: world.stores + world.individuals + buyer,
    address: world.firstStoreAddress + (store % world.storeAddresses),
    creditCard: creditCard < world.creditCards ? creditCard : null,
    store,
  };
}

/** The index of the salesperson of a store. */
export function salespersonOf(world: World, store: number): number {
  return new Random(storeSeed, store).below(world.salespeople);
}

function storeDemographics(random: Random): string {
  const revenue = random.pick([30_000, 80_000, 150_000, 300_000]);
  const content = elements({
    AnnualSales: revenue * 10,
    AnnualRevenue: revenue,
    BankName: random.pick(["Guardian Bank", "International Security", "Primary Bank &amp; Reserve", "United Security"]),
    BusinessType: random.pick(["BM", "BS", "OS"]),
    YearOpened: random.between(1970, 2005),
    Specialty: random.pick(["Mountain", "Road", "Touring"]),
    SquareFeet: random.between(6, 80) * 1_000,
    Brands: random.pick(["2", "3", "4", "4+", "AW"]),
    Internet: random.pick(["56kb", "DSL", "ISDN", "T1", "T2"]),
    NumberEmployees: random.between(2, 100),
  });
  return `<StoreSurvey xmlns="${survey}">${content}</StoreSurvey>`;
}

function customerRow(world: World, index: number) {
  if (index < world.stores) {
    return { person: null, store: index, address: world.firstStoreAddress + (index % world.storeAddresses) };
  }
  const individual = index - world.stores;
  if (individual < world.individuals) {
    return { person: world.firstIndividual + individual, ...individualCustomer(world, individual) };
  }
  const buyer = individual - world.individuals;
  return { person: world.firstStoreContact + buyer, ...storeCustomer(world, buyer) };
}

/** Customers, stores and credit cards. */
export const customerTables: TableGenerators = {
  "sales.customer": (world) => ({
    count: world.customers,
    row: (index) => {
      const { person, store, address } = customerRow(world, index);
      return {
        customerid: index + 1,
        personid: person === null ? null : person + 1,
        storeid: store === null ? null : world.firstStore + store + 1,
        territoryid: stateOfAddress(world, address).territory,
      };
    },
  }),

  "sales.store": (world) => ({
    count: world.stores,
    row: (index, random) => ({
      businessentityid: world.firstStore + index + 1,
      name: `${random.pick(companyWords)} ${random.pick(storeKinds)}`,
      salespersonid: world.employees - world.salespeople + salespersonOf(world, index) + 1,
      demographics: storeDemographics(random),
    }),
  }),

  "sales.creditcard": (world) => ({
    count: world.creditCards,
    row: (index, random) => ({
      creditcardid: index + 1,
      cardtype: random.pick(["ColonialVoice", "Distinguish", "SuperiorCard", "Vista"]),
      cardnumber: `${random.pick(["1111", "3333", "5555", "7777"])}${random.digits(10)}`,
      expmonth: random.between(1, 12),
      expyear: random.between(2015, 2018),
    }),
  }),

  "sales.personcreditcard": (world) => ({
    count: world.creditCards,
    row: (index) => {
      const contact = index - world.individuals;
      const person = contact < 0 ? world.firstIndividual + index : world.firstStoreContact + contact;
      return { businessentityid: person + 1, creditcardid: index + 1 };
    },
  }),

  "sales.salesperson": (world) => ({
    count: world.salespeople,
    row: (index, random) => {
      const isManager = index % 6 === 5;
      return {
        businessentityid: world.employees - world.salespeople + index + 1,
        territoryid: isManager ? null : (index % 10) + 1,
        salesquota: isManager ? null : money(random.pick([25_000_000, 30_000_000])),
        bonus: money(random.below(700_000)),
        commissionpct: decimal(random.between(100, 200), 4),
        salesytd: money(random.between(50_000_000, 420_000_000)),
        saleslastyear: money(random.between(100_000_000, 240_000_000)),
      };
    },
  }),

  "sales.salespersonquotahistory": (world) => ({
    count: world.rows("sales.salespersonquotahistory"),
    row: (index, random) => ({
      businessentityid: world.employees - world.salespeople + (index % world.salespeople) + 1,
      quotadate: moment(Math.floor(index / world.salespeople) * 91),
      salesquota: money(random.between(10, 1_600) * 100_000),
    }),
  }),

  "sales.salesterritoryhistory": (world) => {
    const count = Math.max(world.salespeople, world.rows("sales.salesterritoryhistory"));
    return {
      count,
      row: (index, random) => {
        const term = Math.floor(index / world.salespeople);
        const hasNext = index + world.salespeople < count;
        return {
          businessentityid: world.employees - world.salespeople + (index % world.salespeople) + 1,
          territoryid: random.between(1, 10),
          startdate: moment(term * 365),
          enddate: hasNext ? moment(term * 365 + 364) : null,
        };
      },
    };
  },
};
