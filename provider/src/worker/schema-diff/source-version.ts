import { createHash } from "node:crypto";
import type { Client } from "pg";
import { readCatalogueVersion } from "../../schema/catalogue/catalogue-version.js";
import { digestsOf, readDefinitions } from "../../schema/catalogue/definitions.js";
import { readObjectSettings, settingDigestsOf } from "../../schema/catalogue/object-settings.js";
import { schemaFingerprint } from "./schema-fingerprint.js";
import { readTypeParts } from "./type-parts.js";

/**
 * Another text where anything of the source's schema is other than it was that is carried over: what shapes its tables,
 * what values mean, what is defined beside them, what is set on it, whose it is and who may use it.
 */
export async function readSourceVersion(source: Client): Promise<string> {
  const digests = {
    ...digestsOf(await readDefinitions(source)),
    ...settingDigestsOf(await readObjectSettings(source)),
  };
  const digest = createHash("sha256");
  // A catalogue's rows come in any order.
  for (const part of [Object.entries(digests).sort(), Object.entries(await readTypeParts(source)).sort()])
    digest.update(JSON.stringify(part));
  digest.update(await schemaFingerprint(source)).update(await readCatalogueVersion(source));
  return digest.digest("hex");
}
