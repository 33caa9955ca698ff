import { moment } from "./calendar";
import { decimal } from "./decimal";
import { pair } from "./distribution";
import { goodsIndex } from "./products";
import type { Random } from "./random";
import { fixed, type TableGenerators } from "./table-data";
import type { World } from "./world";

interface Offer {
  readonly id: number;
  readonly description: string;
  /** Per cent */
  readonly discount: number;
  readonly type: string;
}

const regular: Offer = { id: 1, description: "No discount", discount: 0, type: "No Discount" };

const reductions: readonly Offer[] = [
  ...[2, 5, 10, 15, 20].map((discount) => ({ discount, type: "Volume Discount", what: "Volume" })),
  ...[35, 30, 40].map((discount) => ({ discount, type: "Excess Inventory", what: "Clearance" })),
  ...[10, 15, 20, 25].map((discount) => ({ discount, type: "Seasonal Discount", what: "Season" })),
  ...[50, 20, 15].map((discount) => ({ discount, type: "Discontinued Product", what: "Last pieces" })),
].map(({ discount, type, what }, index) => ({
  id: index + 2,
  description: `${what}: ${discount} % off`,
  discount,
  type,
}));

/** Pairs of an offer and a product: each product at its regular price, then some at reduced prices. */
function pairsOf(world: World): number {
  const rows = Math.max(world.goods, world.rows("sales.specialofferproduct"));
  return Math.min(rows, world.goods * (reductions.length + 1));
}

function pairAt(world: World, index: number): { offer: Offer; good: number } {
  if (index < world.goods) return { offer: regular, good: index };
  const [reduction, good] = pair(index - world.goods, reductions.length, world.goods);
  return { offer: reductions[reduction]!, good };
}

/** A product and the offer at which a customer buys it: a pair of `sales.specialofferproduct`. */
export function offerOf(world: World, random: Random): { offer: Offer; good: number } {
  const isRegular = random.chance(0.9);
  return pairAt(world, random.below(isRegular ? world.goods : pairsOf(world)));
}

/** Discounts and their products. */
export const specialOfferTables: TableGenerators = {
  "sales.specialoffer": fixed(
    [regular, ...reductions].map((offer) => ({
      specialofferid: offer.id,
      description: offer.description,
      discountpct: decimal(offer.discount, 2),
      type: offer.type,
      category: offer.id === regular.id ? "No Discount" : offer.id % 2 === 0 ? "Reseller" : "Customer",
      startdate: moment(0),
      enddate: moment(1_279),
      minqty: offer.type === "Volume Discount" ? offer.discount : 0,
      maxqty: offer.type === "Volume Discount" ? offer.discount * 3 : null,
    })),
  ),

  "sales.specialofferproduct": (world) => ({
    count: pairsOf(world),
    row: (index) => {
      const { offer, good } = pairAt(world, index);
      return { specialofferid: offer.id, productid: goodsIndex(world, good) + 1 };
    },
  }),
};
