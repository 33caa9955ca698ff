import { stateOfAddress } from "./addresses";
import { daysOfBusiness, moment } from "./calendar";
import { rateOf } from "./currencies";
import { type Customer, individualCustomer, salespersonOf, storeCustomer } from "./customers";
import { decimal, money } from "./decimal";
import { pair, Shares } from "./distribution";
import { goodsIndex, productAt } from "./products";
import { Random, seedOf } from "./random";
import { offerOf } from "./special-offers";
import { fixed, type TableGenerators } from "./table-data";
import type { World } from "./world";

interface OrderLine {
  readonly product: number;
  readonly offer: number;
  readonly quantity: number;
  /** Cents */
  readonly price: number;
  /** Per cent */
  readonly discount: number;
}

const orderSeed = seedOf("order");
const lineSeed = seedOf("order line");

/** The first order number of the real AdventureWorks. */
const firstOrderId = 43_659;

function linesOf(world: World): Shares {
  const orders = world.rows("sales.salesorderheader");
  return new Shares("order", Math.max(orders, world.rows("sales.salesorderdetail")), orders);
}

function dayOf(shares: Shares, order: number): number {
  return Math.floor((order * daysOfBusiness) / shares.owners);
}

function customerOf(world: World, order: number): Customer {
  const random = new Random(orderSeed, order);
  // One order in eight comes from a store; the others are placed online.
  return random.chance(0.121)
    ? storeCustomer(world, random.below(world.buyers))
    : individualCustomer(world, random.below(world.individuals));
}

function lineAt(world: World, index: number): OrderLine {
  const random = new Random(lineSeed, index);
  const { offer, good } = offerOf(world, random);
  const product = goodsIndex(world, good);
  return {
    product,
    offer: offer.id,
    quantity: random.chance(0.7) ? 1 : random.between(2, 12),
    price: productAt(world, product).price,
    discount: offer.discount,
  };
}

/** The sum of an order's lines in ten-thousandths of a dollar. */
function subtotalOf(world: World, shares: Shares, order: number): number {
  let subtotal = 0;
  for (let index = shares.start(order); index < shares.start(order + 1); index++) {
    const line = lineAt(world, index);
    subtotal += line.quantity * line.price * (100 - line.discount);
  }
  return subtotal;
}

function totals(subtotal: number) {
  const tax = Math.round((subtotal * 8) / 100);
  const freight = Math.round((subtotal * 25) / 1_000);
  return {
    subtotal: decimal(subtotal, 4),
    taxamt: decimal(tax, 4),
    freight: decimal(freight, 4),
    totaldue: decimal(subtotal + tax + freight, 4),
  };
}

/** Sales orders, whose totals are the sums of their lines. */
export const salesTables: TableGenerators = {
  "sales.salesorderheader": (world) => {
    const shares = linesOf(world);
    return {
      count: shares.owners,
      row: (index, random) => {
        const { customer, address, creditCard, store } = customerOf(world, index);
        const day = dayOf(shares, index);
        const state = stateOfAddress(world, address);
        const isOnline = store === null;
        const paysByCard = creditCard !== null && random.chance(0.96);
        const salesperson = isOnline ? null : world.employees - world.salespeople + salespersonOf(world, store);
        return {
          salesorderid: firstOrderId + index,
          revisionnumber: random.between(8, 9),
          orderdate: moment(day),
          duedate: moment(day + 12),
          shipdate: moment(day + 7),
          status: 5,
          onlineorderflag: isOnline,
          purchaseordernumber: isOnline ? null : `PO${random.between(10, 999)}${random.digits(9)}`,
          accountnumber: `AW${String(customer + 1).padStart(8, "0")}`,
          customerid: customer + 1,
          salespersonid: salesperson === null ? null : salesperson + 1,
          territoryid: state.territory,
          billtoaddressid: address + 1,
          shiptoaddressid: address + 1,
          shipmethodid: isOnline ? 1 : 5,
          creditcardid: paysByCard ? creditCard + 1 : null,
          creditcardapprovalcode: paysByCard ? `${random.digits(6)}Vi${random.digits(5)}` : null,
          currencyrateid: rateOf(world, state.country, day),
          ...totals(subtotalOf(world, shares, index)),
          comment: random.chance(0.01) ? "Deliver to the back door." : null,
          modifieddate: moment(day + 7),
        };
      },
    };
  },

  "sales.salesorderdetail": (world) => {
    const shares = linesOf(world);
    return {
      count: shares.total,
      row: (index, random) => {
        const order = shares.ownerOf(index);
        const line = lineAt(world, index);
        const tracked = customerOf(world, order).store !== null;
        return {
          salesorderid: firstOrderId + order,
          salesorderdetailid: index + 1,
          carriertrackingnumber: tracked ? random.bytes(6).toString("hex").toUpperCase() : null,
          orderqty: line.quantity,
          productid: line.product + 1,
          specialofferid: line.offer,
          unitprice: money(line.price),
          unitpricediscount: decimal(line.discount, 2),
          modifieddate: moment(dayOf(shares, order)),
        };
      },
    };
  },

  "sales.salesreason": fixed(
    [
      ["Price", "Other"],
      ["On Promotion", "Promotion"],
      ["Magazine Advertisement", "Marketing"],
      ["Television Advertisement", "Marketing"],
      ["Manufacturer", "Other"],
      ["Review", "Other"],
      ["Demo Event", "Marketing"],
      ["Sponsorship", "Marketing"],
      ["Quality", "Other"],
      ["Other", "Other"],
    ].map(([name, type], index) => ({ salesreasonid: index + 1, name: name!, reasontype: type! })),
  ),

  "sales.salesorderheadersalesreason": (world) => {
    const orders = world.rows("sales.salesorderheader");
    // Five of six orders have a reason, some have two.
    const explained = Math.max(1, Math.floor((orders * 5) / 6));
    return {
      count: Math.min(world.rows("sales.salesorderheadersalesreason"), explained * 10),
      row: (index) => {
        const [order, reason] = pair(index, explained, 10);
        return { salesorderid: firstOrderId + order, salesreasonid: reason + 1 };
      },
    };
  },

  "sales.shoppingcartitem": (world) => ({
    count: world.rows("sales.shoppingcartitem"),
    row: (index, random) => ({
      shoppingcartitemid: index + 1,
      shoppingcartid: String(14_951 + Math.floor(index / 2)),
      quantity: random.between(1, 7),
      productid: goodsIndex(world, random.below(world.goods)) + 1,
      datecreated: moment(daysOfBusiness, random.below(86_400)),
    }),
  }),
};
