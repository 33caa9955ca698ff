import { type Table, nameOf } from "../catalogue";
import { addressTables } from "./addresses";
import { currencyTables } from "./currencies";
import { customerTables } from "./customers";
import { employeeTables } from "./employees";
import { manufacturingTables } from "./manufacturing";
import { mediaTables } from "./media";
import { peopleTables } from "./people";
import { productModelTables } from "./product-models";
import { productTables } from "./products";
import { purchasingTables } from "./purchasing";
import { regionTables } from "./regions";
import { salesTables } from "./sales";
import { specialOfferTables } from "./special-offers";
import type { TableData, TableGenerators } from "./table-data";
import type { World } from "./world";

const generators: TableGenerators = {
  ...employeeTables,
  ...peopleTables,
  ...addressTables,
  ...regionTables,
  ...currencyTables,
  ...productTables,
  ...productModelTables,
  ...mediaTables,
  ...manufacturingTables,
  ...purchasingTables,
  ...customerTables,
  ...specialOfferTables,
  ...salesTables,
};

/** The rows of one of the catalogue's tables. */
export function dataOf(table: Table, world: World): TableData {
  const generate = generators[nameOf(table)];
  if (!generate) throw new Error(`no generator for the table ${nameOf(table)}`);
  return generate(world);
}
