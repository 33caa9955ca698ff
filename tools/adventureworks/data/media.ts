import { pair } from "./distribution";
import type { TableGenerators } from "./table-data";
import { modelNameOf } from "./product-models";
import { sentences } from "./documents/words";
import type { World } from "./world";

/** Documents form a tree. The first one and every fifth are folders. */
function nodeOf(index: number): string {
  if (index === 0) return "/";
  const folder = index - (index % 5);
  if (index === folder) return `/${folder / 5}/`;
  return folder === 0 ? `/0/${index}/` : `/${folder / 5}/${index % 5}/`;
}

/** At least one folder with one document. */
function documentsOf(world: World): number {
  return Math.max(2, world.rows("production.document"));
}

/** Files in the database: photographs and documents of 1 to 100 kB. */
export const mediaTables: TableGenerators = {
  "production.document": (world) => ({
    count: documentsOf(world),
    row: (index, random) => {
      const isFolder = index % 5 === 0;
      const title = `${modelNameOf(index)} ${isFolder ? "folder" : "maintenance"}`;
      const hasSummary = !isFolder && random.chance(0.5);
      return {
        title,
        owner: random.between(1, world.employees),
        folderflag: isFolder,
        filename: isFolder ? title : `${title}.doc`,
        fileextension: isFolder ? "" : ".doc",
        revision: String(random.below(9)),
        changenumber: random.below(60),
        status: random.between(1, 3),
        documentsummary: hasSummary ? Array.from({ length: 12 }, () => random.pick(sentences)).join("\n\t") : null,
        document: isFolder ? null : random.bytes(random.between(10_000, 100_000)),
        documentnode: nodeOf(index),
      };
    },
  }),

  "production.productdocument": (world) => {
    const documents = documentsOf(world);
    return {
      count: Math.min(world.rows("production.productdocument"), world.products * documents),
      row: (index) => {
        const [product, document] = pair(index, world.products, documents);
        return { productid: product + 1, documentnode: nodeOf(document) };
      },
    };
  },

  "production.productphoto": (world) => ({
    count: world.rows("production.productphoto"),
    row: (index, random) => ({
      productphotoid: index + 1,
      thumbnailphoto: random.bytes(random.between(1_000, 6_000)),
      thumbnailphotofilename: `product_${index + 1}_small.gif`,
      largephoto: random.bytes(random.between(8_000, 100_000)),
      largephotofilename: `product_${index + 1}_large.gif`,
    }),
  }),

  "production.productproductphoto": (world) => ({
    count: world.products,
    row: (index) => ({
      productid: index + 1,
      productphotoid: (index % world.rows("production.productphoto")) + 1,
      primary: true,
    }),
  }),
};
