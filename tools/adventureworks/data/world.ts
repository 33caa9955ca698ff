import { catalogue, nameOf } from "../catalogue";

const realRows = new Map(catalogue.tables.map((table) => [nameOf(table), table.rows]));

export type World = ReturnType<typeof worldAt>;

/** The numbers of people and things at a scale. References between them are indexes. */
export function worldAt(scale: number) {
  // A whole number of at least one. At scale 1 it is the number of the real AdventureWorks.
  const scaled = (count: number): number => Math.max(1, Math.round(count * scale));
  const rows = (table: string): number => {
    const count = realRows.get(table);
    if (count === undefined) throw new Error(`the catalogue has no table ${table}`);
    return scaled(count);
  };

  // Persons in the order of their identifiers: employees (salespeople last), contacts, customers.
  const employees = rows("humanresources.employee");
  const salespeople = Math.min(employees, rows("sales.salesperson"));
  const storeContacts = scaled(753);
  const vendorContacts = scaled(156);
  const individuals = scaled(18_484);
  const generalContacts = scaled(289);
  const firstStoreContact = employees;
  const firstVendorContact = firstStoreContact + storeContacts;
  const firstIndividual = firstVendorContact + vendorContacts;
  const firstGeneralContact = firstIndividual + individuals;
  const persons = firstGeneralContact + generalContacts;

  // The other business entities follow the persons.
  const stores = rows("sales.store");
  const vendors = rows("purchasing.vendor");
  const firstStore = persons;
  const firstVendor = firstStore + stores;
  const businessEntities = firstVendor + vendors;

  // Addresses: one of each employee, then of stores (some have two), vendors, individual customers (some have two).
  const storeAddresses = scaled(712);
  const individualAddresses = scaled(18_508);
  const firstStoreAddress = employees;
  const firstVendorAddress = firstStoreAddress + storeAddresses;
  const firstIndividualAddress = firstVendorAddress + vendors;
  const addresses = firstIndividualAddress + individualAddresses;

  // Customers: the stores, the individuals, the store contacts who buy. Cards belong to individuals, then to contacts.
  const buyers = Math.min(storeContacts, scaled(635));
  const customers = stores + individuals + buyers;
  const creditCards = Math.min(individuals + storeContacts, rows("sales.creditcard"));

  // Products: first parts that are bought or made, then goods that are sold.
  const products = rows("production.product");
  const goods = Math.min(products, scaled(295));
  const parts = Math.max(1, products - goods);
  const models = rows("production.productmodel");

  return {
    scale,
    rows,
    scaled,
    employees,
    salespeople,
    storeContacts,
    vendorContacts,
    individuals,
    generalContacts,
    firstStoreContact,
    firstVendorContact,
    firstIndividual,
    firstGeneralContact,
    persons,
    stores,
    vendors,
    firstStore,
    firstVendor,
    businessEntities,
    storeAddresses,
    individualAddresses,
    firstStoreAddress,
    firstVendorAddress,
    firstIndividualAddress,
    addresses,
    buyers,
    customers,
    creditCards,
    products,
    goods,
    parts,
    models,
  };
}
