import { createHash } from "node:crypto";

/** A digest of a definition, short because the records contain thousands. */
export const shortDigest = (definition: string): string =>
  createHash("md5").update(definition).digest("hex").slice(0, 8);
