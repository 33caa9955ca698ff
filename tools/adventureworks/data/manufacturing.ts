import { daysOfBusiness, moment } from "./calendar";
import { Shares } from "./distribution";
import { decimal, money } from "./decimal";
import { goodsIndex, productAt } from "./products";
import { Random, seedOf } from "./random";
import { fixed, type Row, type TableGenerators } from "./table-data";
import type { World } from "./world";

interface WorkOrder {
  readonly product: number;
  readonly quantity: number;
  readonly startDay: number;
  readonly days: number;
}

const workOrderSeed = seedOf("work order");

const unitMeasures = [
  ...["BOX Boxes", "BTL Bottle", "C Celsius", "CAN Canister", "CAR Carton", "CBM Cubic meters"],
  ...["CCM Cubic centimeter", "CDM Cubic decimeter", "CM Centimeter", "CM2 Square centimeter", "CR Crate", "CS Case"],
  ...["CTN Container", "DM Decimeter", "DZ Dozen", "EA Each", "FT3 Cubic foot", "G Gram", "GAL Gallon", "IN Inch"],
  ...["KG Kilogram", "KGV Kilogram/cubic meter", "KM Kilometer", "KT Kiloton", "L Liter", "LB US pound", "M Meter"],
  ...["M2 Square meter", "M3 Cubic meter", "MG Milligram", "ML Milliliter", "MM Millimeter", "OZ Ounces", "PAK Pack"],
  ...["PAL Pallet", "PC Piece", "PCT Percentage", "PT Pint, US liquid"],
].map((text) => /^(\S+) (.+)$/.exec(text)!);

const locations = [
  ...["Tool Crib", "Sheet Metal Racks", "Paint Shop", "Paint Storage", "Metal Storage", "Miscellaneous Storage"],
  ...["Finished Goods Storage", "Frame Forming", "Frame Welding", "Debur and Polish", "Paint", "Specialized Paint"],
  ...["Subassembly", "Final Assembly"],
];

const scrapReasons = [
  ...["Brake assembly not as ordered", "Color incorrect", "Gouge in metal", "Drill pattern incorrect"],
  ...[
    "Drill size too large",
    "Drill size too small",
    "Handling damage",
    "Paint process failed",
    "Primer process failed",
  ],
  ...["Seat assembly not as ordered", "Stress test failed", "Thermoform temperature too high"],
  ...["Thermoform temperature too low", "Trim length too long", "Trim length too short", "Wheel misaligned"],
];

function workOrderAt(world: World, index: number): WorkOrder {
  const random = new Random(workOrderSeed, index);
  const isGood = random.chance(0.6);
  return {
    product: isGood ? goodsIndex(world, random.below(world.goods)) : random.below(world.parts),
    quantity: random.pick([1, 2, 4, 8, 25, 60, 140, 500]) + random.below(12),
    startDay: Math.floor((index * daysOfBusiness) / world.rows("production.workorder")),
    days: random.between(7, 14),
  };
}

/** A movement of stock, by a work order, a sales order or a purchase order. */
function transaction(
  world: World,
  index: number,
  { count, firstDay }: { readonly count: number; readonly firstDay: number },
  random: Random,
): Row {
  const type = random.pick(["W", "W", "W", "S", "S", "P"]);
  const orders = {
    W: "production.workorder",
    S: "sales.salesorderheader",
    P: "purchasing.purchaseorderheader",
  } as const;
  const product = type === "S" ? goodsIndex(world, random.below(world.goods)) : random.below(world.products);
  return {
    productid: product + 1,
    referenceorderid: random.between(1, world.rows(orders[type as keyof typeof orders])),
    referenceorderlineid: type === "W" ? 0 : random.between(1, 6),
    transactiondate: moment(firstDay + Math.floor((index * 365) / count)),
    transactiontype: type,
    quantity: random.between(1, 60),
    actualcost: type === "W" ? money(0) : money(productAt(world, product).cost),
  };
}

/** Work orders with their operations and stock movements. */
export const manufacturingTables: TableGenerators = {
  "production.unitmeasure": fixed(unitMeasures.map(([, code, name]) => ({ unitmeasurecode: code!, name: name! }))),

  "production.location": fixed(
    locations.map((name, index) => ({
      locationid: index + 1,
      name,
      costrate: index < 7 ? money(0) : money(1_225 + index * 90),
      availability: index < 7 ? "0.00" : `${80 + index}.00`,
    })),
  ),

  "production.scrapreason": fixed(scrapReasons.map((name, index) => ({ scrapreasonid: index + 1, name }))),

  "production.workorder": (world) => ({
    count: world.rows("production.workorder"),
    row: (index, random) => {
      const order = workOrderAt(world, index);
      const scrapped = random.chance(0.01) ? random.between(1, Math.min(order.quantity, 20)) : 0;
      const isDone = random.chance(0.98);
      return {
        workorderid: index + 1,
        productid: order.product + 1,
        orderqty: order.quantity,
        scrappedqty: scrapped,
        startdate: moment(order.startDay),
        enddate: isDone ? moment(order.startDay + order.days) : null,
        duedate: moment(order.startDay + 11),
        scrapreasonid: scrapped > 0 ? random.between(1, scrapReasons.length) : null,
        modifieddate: moment(order.startDay + order.days),
      };
    },
  }),

  "production.workorderrouting": (world) => {
    // Every second work order has several operations at different places. The others have one.
    const orders = Math.ceil(world.rows("production.workorder") / 2);
    const shares = new Shares("routing", world.rows("production.workorderrouting"), orders);
    return {
      count: shares.total,
      row: (index, random) => {
        const owner = shares.ownerOf(index);
        const order = workOrderAt(world, owner * 2);
        const cost = random.pick([1_470, 2_450, 3_675, 4_900, 9_225]);
        const isDone = random.chance(0.99);
        return {
          workorderid: owner * 2 + 1,
          productid: order.product + 1,
          operationsequence: index - shares.start(owner) + 1,
          locationid: random.between(8, locations.length),
          scheduledstartdate: moment(order.startDay),
          scheduledenddate: moment(order.startDay + 11),
          actualstartdate: isDone ? moment(order.startDay + 1, random.below(86_400)) : null,
          actualenddate: isDone ? moment(order.startDay + order.days) : null,
          actualresourcehrs: isDone ? decimal(random.between(10_000, 41_000), 4) : null,
          plannedcost: money(cost),
          actualcost: isDone ? money(cost + random.between(-100, 100)) : null,
          modifieddate: moment(order.startDay + order.days),
        };
      },
    };
  },

  "production.transactionhistory": (world) => {
    const count = world.rows("production.transactionhistory");
    const firstId = Math.max(100_000, world.rows("production.transactionhistoryarchive") + 1);
    return {
      count,
      row: (index, random) => ({
        transactionid: firstId + index,
        ...transaction(world, index, { count, firstDay: daysOfBusiness - 365 }, random),
      }),
    };
  },

  "production.transactionhistoryarchive": (world) => {
    const count = world.rows("production.transactionhistoryarchive");
    return {
      count,
      row: (index, random) => ({
        transactionid: index + 1,
        ...transaction(world, index, { count, firstDay: daysOfBusiness - 730 }, random),
      }),
    };
  },
};
