import { moment } from "./calendar";
import { pair } from "./distribution";
import { money } from "./decimal";
import { emailOf, personAt } from "./people";
import { modelNameOf } from "./product-models";
import { Random, seedOf } from "./random";
import { fixed, type TableData, type TableGenerators } from "./table-data";
import { colors, partAdjectives, partNouns, sentences } from "./documents/words";
import type { World } from "./world";

export interface Product {
  readonly name: string;
  readonly number: string;
  readonly color: string | null;
  readonly size: string | null;
  /** Cents */
  readonly cost: number;
  /** Cents. 0 for parts, which are not sold. */
  readonly price: number;
}

const productSeed = seedOf("product");
const sizes = ["38", "40", "42", "44", "46", "48", "50", "52", "54", "56", "58", "60", "62"];

const categories = ["Bikes", "Components", "Clothing", "Accessories"];
const subcategories = [
  ...["1 Mountain Bikes", "1 Road Bikes", "1 Touring Bikes", "2 Handlebars", "2 Bottom Brackets", "2 Brakes"],
  ...["2 Chains", "2 Cranksets", "2 Derailleurs", "2 Forks", "2 Headsets", "2 Mountain Frames", "2 Pedals"],
  ...["2 Road Frames", "2 Saddles", "2 Touring Frames", "2 Wheels", "3 Bib-Shorts", "3 Caps", "3 Gloves", "3 Jerseys"],
  ...["3 Shorts", "3 Socks", "3 Tights", "3 Vests", "4 Bike Racks", "4 Bike Stands", "4 Bottles and Cages"],
  ...["4 Cleaners", "4 Fenders", "4 Helmets", "4 Hydration Packs", "4 Lights", "4 Locks", "4 Panniers", "4 Pumps"],
  "4 Tires and Tubes",
];

/** The product with an index from 0 to world.products - 1. Parts precede goods. */
export function productAt(world: World, index: number): Product {
  const random = new Random(productSeed, index);
  if (index < world.products - world.goods) return part(random, index);
  const color = random.pick(colors);
  const size = random.chance(0.7) ? random.pick(sizes) : null;
  const cost = random.between(500, 120_000);
  const model = modelNameOf(modelOf(world, index)!);
  return {
    name: [model, color, ...(size === null ? [] : [size])].join(", "),
    number: `${model.slice(0, 2).toUpperCase()}-${color[0]!}${String(index).padStart(5, "0")}`,
    color,
    size,
    cost,
    price: Math.floor((cost * random.between(140, 190)) / 100),
  };
}

/** The product index of one of the world.goods products that the company sells. */
export function goodsIndex(world: World, good: number): number {
  return world.products - world.goods + good;
}

function part(random: Random, index: number): Product {
  const [adjective, noun] = [random.pick(partAdjectives), random.pick(partNouns)];
  return {
    name: `${adjective} ${noun} ${index + 1}`,
    number: `${adjective[0]!}${noun[0]!}-${String(index).padStart(5, "0")}`,
    color: random.chance(0.2) ? random.pick(colors) : null,
    size: null,
    cost: random.between(10, 9_000),
    price: 0,
  };
}

function modelOf(world: World, index: number): number | null {
  const good = index - (world.products - world.goods);
  return good < 0 ? null : good % world.models;
}

/** The yearly cost or price of a product. Each is some percent above the previous one. */
function history(table: string, price: "cost" | "price", column: string): (world: World) => TableData {
  return (world) => {
    const count = Math.max(world.goods, world.rows(table));
    return {
      count,
      row: (index) => {
        const product = goodsIndex(world, index % world.goods);
        const year = Math.floor(index / world.goods);
        const isLast = index + world.goods >= count;
        return {
          productid: product + 1,
          startdate: moment(year * 365),
          enddate: isLast ? null : moment(year * 365 + 364),
          [column]: money(Math.floor((productAt(world, product)[price] * (90 + year * 4)) / 100)),
        };
      },
    };
  };
}

/** Products and their parts. */
export const productTables: TableGenerators = {
  "production.product": (world) => ({
    count: world.products,
    row: (index, random) => {
      const product = productAt(world, index);
      const isSold = product.price > 0;
      const weight = isSold && random.chance(0.6);
      const gone = isSold && random.chance(0.15);
      return {
        productid: index + 1,
        name: product.name,
        productnumber: product.number,
        makeflag: isSold ? random.chance(0.6) : random.chance(0.25),
        finishedgoodsflag: isSold,
        color: product.color,
        safetystocklevel: random.pick([4, 60, 100, 500, 800, 1_000]),
        reorderpoint: random.pick([3, 45, 75, 375, 600, 750]),
        standardcost: money(product.cost),
        listprice: money(product.price),
        size: product.size,
        sizeunitmeasurecode: product.size === null ? null : "CM",
        weightunitmeasurecode: weight ? "LB" : null,
        weight: weight ? `${random.between(2, 30)}.${random.digits(2)}` : null,
        daystomanufacture: isSold ? random.between(1, 4) : random.below(2),
        productline: isSold ? random.pick(["M", "R", "S", "T"]) : null,
        class: random.pick(["H", "L", "M", null]),
        style: isSold ? random.pick(["M", "U", "W"]) : null,
        productsubcategoryid: isSold ? random.between(1, subcategories.length) : null,
        productmodelid: isSold ? modelOf(world, index)! + 1 : null,
        sellstartdate: moment(isSold ? random.pick([0, 365, 730]) : -1_000),
        sellenddate: gone ? moment(1_095) : null,
        discontinueddate: null,
      };
    },
  }),

  "production.productcategory": fixed(categories.map((name, index) => ({ productcategoryid: index + 1, name }))),

  "production.productsubcategory": fixed(
    subcategories.map((text, index) => ({
      productsubcategoryid: index + 1,
      productcategoryid: Number(text[0]),
      name: text.slice(2),
    })),
  ),

  "production.productcosthistory": history("production.productcosthistory", "cost", "standardcost"),

  "production.productlistpricehistory": history("production.productlistpricehistory", "price", "listprice"),

  "production.productreview": (world) => ({
    count: world.rows("production.productreview"),
    row: (index, random) => {
      const person = world.firstIndividual + (index % world.individuals);
      return {
        productreviewid: index + 1,
        productid: goodsIndex(world, random.below(world.goods)) + 1,
        reviewername: personAt(person).given,
        reviewdate: moment(random.between(800, 1_100), random.below(86_400)),
        emailaddress: emailOf(person),
        rating: random.between(1, 5),
        comments: Array.from({ length: random.between(5, 30) }, () => random.pick(sentences)).join("\n"),
      };
    },
  }),

  "production.billofmaterials": (world) => ({
    count: Math.min(world.rows("production.billofmaterials"), world.goods * world.parts),
    row: (index, random) => {
      const [good, component] = pair(index, world.goods, world.parts);
      const isTop = index < world.goods / 3;
      return {
        billofmaterialsid: index + 1,
        productassemblyid: isTop ? null : goodsIndex(world, good) + 1,
        componentid: isTop ? goodsIndex(world, good) + 1 : component + 1,
        startdate: moment(-random.between(1, 400)),
        enddate: random.chance(0.07) ? moment(random.below(300)) : null,
        unitmeasurecode: random.pick(["EA", "EA", "EA", "IN", "OZ"]),
        bomlevel: isTop ? 0 : random.between(1, 4),
        perassemblyqty: `${random.between(1, 41)}.00`,
      };
    },
  }),

  "production.productinventory": (world) => ({
    count: Math.min(world.rows("production.productinventory"), world.products * 14),
    row: (index, random) => {
      const [product, location] = pair(index, world.products, 14);
      return {
        productid: product + 1,
        locationid: location + 1,
        shelf: random.letter("ABCDEFGHJKLMNRSTUVW"),
        bin: random.below(62),
        quantity: random.below(800),
      };
    },
  }),
};
