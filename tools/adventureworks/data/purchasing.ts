import { daysOfBusiness, moment } from "./calendar";
import { pair, Shares } from "./distribution";
import { money } from "./decimal";
import { productAt } from "./products";
import { Random, seedOf } from "./random";
import { fixed, type TableGenerators } from "./table-data";
import { companyWords, vendorKinds } from "./documents/words";
import type { World } from "./world";

interface PurchaseLine {
  readonly product: number;
  readonly quantity: number;
  /** Cents */
  readonly price: number;
}

const lineSeed = seedOf("purchase line");

function lineAt(world: World, index: number): PurchaseLine {
  const random = new Random(lineSeed, index);
  const product = random.below(world.parts);
  return { product, quantity: random.pick([3, 60, 150, 300, 550, 1_050]), price: productAt(world, product).cost };
}

function linesOf(world: World): Shares {
  const orders = world.rows("purchasing.purchaseorderheader");
  return new Shares("purchase", Math.max(orders, world.rows("purchasing.purchaseorderdetail")), orders);
}

function dayOf(shares: Shares, order: number): number {
  return Math.floor((order * daysOfBusiness) / shares.owners);
}

/** Vendors and purchase orders. */
export const purchasingTables: TableGenerators = {
  "purchasing.shipmethod": fixed(
    ["Parcel Truck", "Rail Freight", "Overseas Deluxe", "Overnight Air", "Ground Standard"].map((name, index) => ({
      shipmethodid: index + 1,
      name,
      shipbase: money(395 + index * 550),
      shiprate: money(99 + index * 50),
    })),
  ),

  "purchasing.vendor": (world) => ({
    count: world.vendors,
    row: (index, random) => {
      const name = `${random.pick(companyWords)} ${random.pick(vendorKinds)}`;
      return {
        businessentityid: world.firstVendor + index + 1,
        accountnumber: `${name.slice(0, 5).toUpperCase().trim()}${String(index + 1).padStart(6, "0")}`,
        name,
        creditrating: random.pick([1, 1, 1, 2, 3, 4, 5]),
        preferredvendorstatus: random.chance(0.9),
        activeflag: random.chance(0.95),
        purchasingwebserviceurl: random.chance(0.06) ? `https://vendor${index + 1}.example/purchasing` : null,
      };
    },
  }),

  "purchasing.productvendor": (world) => ({
    count: Math.min(world.rows("purchasing.productvendor"), world.parts * world.vendors),
    row: (index, random) => {
      const [product, vendor] = pair(index, world.parts, world.vendors);
      const cost = productAt(world, product).cost;
      const isOrdered = random.chance(0.35);
      return {
        productid: product + 1,
        businessentityid: world.firstVendor + vendor + 1,
        averageleadtime: random.pick([10, 15, 17, 19, 25, 45, 60]),
        standardprice: money(cost),
        lastreceiptcost: money(Math.floor((cost * 105) / 100)),
        lastreceiptdate: moment(random.between(0, 200)),
        minorderqty: random.pick([1, 20, 100, 500]),
        maxorderqty: random.pick([15, 100, 1_000, 2_000]) + 500,
        onorderqty: isOrdered ? random.pick([3, 300, 550, 1_500]) : null,
        unitmeasurecode: random.pick(["CAN", "CTN", "DZ", "EA", "PAK"]),
      };
    },
  }),

  "purchasing.purchaseorderheader": (world) => {
    const shares = linesOf(world);
    return {
      count: shares.owners,
      row: (index, random) => {
        const day = dayOf(shares, index);
        let subtotal = 0;
        for (let line = shares.start(index); line < shares.start(index + 1); line++) {
          const { quantity, price } = lineAt(world, line);
          subtotal += quantity * price;
        }
        return {
          purchaseorderid: index + 1,
          revisionnumber: random.between(4, 9),
          status: random.pick([4, 4, 4, 4, 3, 2, 1]),
          employeeid: random.between(1, world.employees),
          vendorid: world.firstVendor + random.below(world.vendors) + 1,
          shipmethodid: random.between(1, 5),
          orderdate: moment(day),
          shipdate: random.chance(0.97) ? moment(day + random.between(7, 25)) : null,
          subtotal: money(subtotal),
          taxamt: money(Math.round((subtotal * 8) / 100)),
          freight: money(Math.round((subtotal * 25) / 1_000)),
          modifieddate: moment(day + 9),
        };
      },
    };
  },

  "purchasing.purchaseorderdetail": (world) => {
    const shares = linesOf(world);
    return {
      count: shares.total,
      row: (index, random) => {
        const order = shares.ownerOf(index);
        const line = lineAt(world, index);
        const rejected = random.chance(0.1) ? random.below(line.quantity) : 0;
        return {
          purchaseorderid: order + 1,
          purchaseorderdetailid: index + 1,
          duedate: moment(dayOf(shares, order) + 14),
          orderqty: line.quantity,
          productid: line.product + 1,
          unitprice: money(line.price),
          receivedqty: `${line.quantity}.00`,
          rejectedqty: `${rejected}.00`,
          modifieddate: moment(dayOf(shares, order) + 9),
        };
      },
    };
  },
};
