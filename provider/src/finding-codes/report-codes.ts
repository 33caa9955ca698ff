import type { Catalogue } from "./catalogue-entry.js";

/** PGM-80x: the report. */
export const reportCodes = {
  "PGM-801": {
    meaning: "the report of an ended migration cannot be written to the file system",
    severity: "Warning",
    remedy: "correct the path in the input report, or run pg-migration report",
    privilege: "permission to write the file or directory",
  },
} as const satisfies Catalogue;
