import { createHash } from "node:crypto";
import type { Client } from "pg";
import { readCatalogueVersion } from "../../schema/catalogue/catalogue-version.js";
import { digestsOf, readDefinitions } from "../../schema/catalogue/definitions.js";
import { readObjectSettings, settingDigestsOf } from "../../schema/catalogue/object-settings.js";
import { schemaFingerprint } from "./schema-fingerprint.js";
import { readTypeParts } from "./type-parts.js";

/**
 * A digest of the parts of the source's schema that are migrated: tables and types, other definitions, settings, owners and
 * privileges. It differs from an earlier digest if one of them has changed.
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
