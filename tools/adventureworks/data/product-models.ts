import { pair } from "./distribution";
import { catalogDescription, diagram, instructions } from "./documents/product-documents";
import { Random, seedOf } from "./random";
import { fixed, type TableGenerators } from "./table-data";
import { modelWords, sentences } from "./documents/words";

const modelSeed = seedOf("model");

const cultures = [
  ["", "Invariant Language (Invariant Country)"],
  ["ar", "Arabic"],
  ["en", "English"],
  ["es", "Spanish"],
  ["fr", "French"],
  ["he", "Hebrew"],
  ["th", "Thai"],
  ["zh-cht", "Chinese"],
] as const;

/** Languages of the descriptions. */
const describedIn = ["ar", "en", "fr", "he", "th", "zh-cht"] as const;

const greetings = {
  ar: "دراجة خفيفة ومتينة.",
  en: "Light and durable.",
  fr: "Léger et résistant.",
  he: "קל ועמיד.",
  th: "เบาและทนทาน",
  "zh-cht": "輕巧耐用。",
} as const;

/** The name of the product model with an index from 0 to world.models - 1. */
export function modelNameOf(index: number): string {
  const random = new Random(modelSeed, index);
  return `${random.pick(modelWords)}-${index + 100}`;
}

/** Models of products that differ only in size and color, described in several languages and scripts. */
export const productModelTables: TableGenerators = {
  "production.productmodel": (world) => ({
    count: world.models,
    row: (index, random) => ({
      productmodelid: index + 1,
      name: modelNameOf(index),
      catalogdescription: index % 21 === 0 ? catalogDescription(random, modelNameOf(index), index + 1) : null,
      instructions: index % 14 === 0 ? instructions(random) : null,
    }),
  }),

  "production.culture": fixed(cultures.map(([code, name]) => ({ cultureid: code, name }))),

  "production.productdescription": (world) => ({
    count: world.rows("production.productdescription"),
    row: (index, random) => {
      const text = Array.from({ length: random.between(1, 4) }, () => random.pick(sentences)).join(" ");
      return {
        productdescriptionid: index + 1,
        description: `${greetings[describedIn[index % describedIn.length]!]} ${text}`,
      };
    },
  }),

  "production.productmodelproductdescriptionculture": (world) => {
    // Each model has at most one description per language.
    const table = "production.productmodelproductdescriptionculture";
    return {
      count: Math.min(world.rows(table), world.models * describedIn.length),
      row: (index) => ({
        productmodelid: Math.floor(index / describedIn.length) + 1,
        productdescriptionid: index + 1,
        cultureid: describedIn[index % describedIn.length]!,
      }),
    };
  },

  "production.illustration": (world) => ({
    count: world.rows("production.illustration"),
    row: (index, random) => ({ illustrationid: index + 1, diagram: diagram(random) }),
  }),

  "production.productmodelillustration": (world) => {
    const illustrations = world.rows("production.illustration");
    return {
      count: Math.min(world.rows("production.productmodelillustration"), world.models * illustrations),
      row: (index) => {
        const [model, illustration] = pair(index, world.models, illustrations);
        return { productmodelid: model + 1, illustrationid: illustration + 1 };
      },
    };
  },
};
