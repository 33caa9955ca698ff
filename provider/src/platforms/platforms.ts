import type { SourceType } from "../inputs/inputs.js";
import { apsaraDb } from "./apsaradb.js";
import { amazonAurora, amazonRds } from "./aws.js";
import { azureFlexibleServer, azureSingleServer, cosmosDb } from "./azure.js";
import { crunchyBridge } from "./crunchy-bridge.js";
import { digitalOcean } from "./digital-ocean.js";
import { alloyDb, cloudSql } from "./google.js";
import { heroku } from "./heroku.js";
import { huaweiRds } from "./huawei.js";
import type { Platform } from "./platform.js";
import { edb, type Installation, selfManaged } from "./self-managed.js";
import { supabase } from "./supabase.js";

/** The managed services. Their commands do not depend on the server's installation. */
export const services: readonly Platform[] = [
  ...[amazonRds, amazonAurora, cloudSql, alloyDb, azureSingleServer, azureFlexibleServer, cosmosDb],
  ...[supabase, digitalOcean, crunchyBridge, heroku, huaweiRds, apsaraDb],
];

/** The platform that the input `sourceType` names. */
export function platformOfType(sourceType: SourceType | undefined, installation: Installation): Platform {
  const service = services.find(({ sourceTypes }) => sourceType !== undefined && sourceTypes.includes(sourceType));
  if (service) return service;
  return sourceType?.startsWith("EDB") ? edb(installation) : selfManaged(installation, sourceType);
}

/** Host names of services, for a server that does not accept connections. */
const hosts: readonly (readonly [RegExp, Platform])[] = [
  // China's have the region after `rds`.
  [/\.cluster-[^.]+\.([^.]+\.rds\.amazonaws\.com|rds\.[^.]+\.amazonaws\.com\.cn)$/, amazonAurora],
  [/\.rds\.(amazonaws\.com|[^.]+\.amazonaws\.com\.cn)$/, amazonRds],
  [/\.postgres\.cosmos\.azure\.com$/, cosmosDb],
  [/\.postgres\.database\.(azure\.com|usgovcloudapi\.net|chinacloudapi\.cn)$/, azureFlexibleServer],
  [/\.supabase\.(co|com)$/, supabase],
  [/\.db\.ondigitalocean\.com$/, digitalOcean],
  [/\.postgresbridge\.com$/, crunchyBridge],
  [/\.rds\.aliyuncs\.com$/, apsaraDb],
];

/**
 * The platform of a server without a session on it: its host name shows it, or `sourceType` names it.
 *
 * @example
 * ```ts
 * platformOfHost({ host: "db.abc.supabase.co", user: "postgres" }).name; // "Supabase"
 * ```
 */
export function platformOfHost(
  { host, user }: { readonly host: string; readonly user: string },
  sourceType?: SourceType,
): Platform {
  const service = hosts.find(([pattern]) => pattern.test(host.toLowerCase()))?.[1];
  // Only logins of single servers contain the server's name.
  if (service === azureFlexibleServer && user.includes("@")) return azureSingleServer;
  return service ?? platformOfType(sourceType, { version: "" });
}
