import { azureCodes } from "./azure-codes.js";
import type { CatalogueEntry } from "./catalogue-entry.js";
import { connectionCodes } from "./connection-codes.js";
import { cutoverCodes } from "./cutover-codes.js";
import { reportCodes } from "./report-codes.js";
import { roleCodes } from "./role-codes.js";
import { schemaCodes } from "./schema-codes.js";
import { sourceCodes } from "./source-codes.js";
import { streamingCodes } from "./streaming-codes.js";
import { targetCheckCodes } from "./target-check-codes.js";
import { targetCodes } from "./target-codes.js";

/** A code of a finding or an error: of Azure's migration service (6030xx to 6037xx), or our own (`PGM-`). */
export type FindingCode =
  | keyof typeof azureCodes
  | keyof typeof connectionCodes
  | keyof typeof sourceCodes
  | keyof typeof targetCodes
  | keyof typeof schemaCodes
  | keyof typeof streamingCodes
  | keyof typeof cutoverCodes
  | keyof typeof roleCodes
  | keyof typeof reportCodes
  | keyof typeof targetCheckCodes;

/** All codes with their entries. */
export const findingCatalogue: Readonly<Record<FindingCode, CatalogueEntry>> = {
  ...azureCodes,
  ...connectionCodes,
  ...sourceCodes,
  ...targetCodes,
  ...schemaCodes,
  ...streamingCodes,
  ...cutoverCodes,
  ...roleCodes,
  ...reportCodes,
  ...targetCheckCodes,
};
