import type { Client } from "pg";
import type { SourceType } from "../inputs/inputs.js";
import { apsaraDb } from "./apsaradb.js";
import { amazonAurora, amazonRds } from "./aws.js";
import { azureFlexibleServer, azureSingleServer, cosmosDb } from "./azure.js";
import { crunchyBridge } from "./crunchy-bridge.js";
import { digitalOcean } from "./digital-ocean.js";
import { alloyDb, cloudSql } from "./google.js";
import { heroku } from "./heroku.js";
import { huaweiRds } from "./huawei.js";
import { serverVersion } from "../postgres/server-version.js";
import type { Platform } from "./platform.js";
import { platformOfType } from "./platforms.js";
import { edb, type Installation, operatingSystem } from "./self-managed.js";
import { supabase } from "./supabase.js";

/** What a session can see of a server that identifies its platform. */
export interface ServerSigns extends Installation {
  /** First parts of the names of custom parameters: `rds` for `rds.logical_replication`. */
  readonly parameterClasses: readonly string[];
  readonly roles: readonly string[];
  /** Only schemas that Heroku creates. */
  readonly schemas: readonly string[];
  readonly hasAuroraVersion: boolean;
  readonly isSuperuser: boolean;
  readonly database: string;
  readonly user: string;
}

type Sign = (signs: ServerSigns) => boolean;

const parameters =
  (name: string): Sign =>
  (signs) =>
    signs.parameterClasses.includes(name);

/** Services have no superusers for their users. On another server, such a role came with a migrated database. */
const role =
  (name: string): Sign =>
  (signs) =>
    !signs.isSuperuser && signs.roles.includes(name);

const any =
  (...conditions: readonly Sign[]): Sign =>
  (signs) =>
    conditions.some((condition) => condition(signs));

const isAzure = any(parameters("azure"), role("azure_pg_admin"));

/** Heroku's names are random and contain digits; `datawarehouse` and `userreporting` are not Heroku's. */
const hasHerokuNames: Sign = ({ database, user, isSuperuser }) =>
  !isSuperuser && /^d(?=.*\d)[a-z0-9]{12,14}$/.test(database) && /^u(?=.*\d)[a-z0-9]{12,14}$/.test(user);

/** In order: a service that is built on another one has its signs, too. */
const services: readonly (readonly [Platform, Sign])[] = [
  [amazonAurora, ({ hasAuroraVersion }) => hasAuroraVersion],
  [apsaraDb, role("pg_rds_superuser")],
  [amazonRds, any(parameters("rds"), role("rds_superuser"))],
  [alloyDb, any(parameters("alloydb"), role("alloydbsuperuser"))],
  [cloudSql, any(parameters("cloudsql"), role("cloudsqlsuperuser"))],
  [azureSingleServer, (signs) => isAzure(signs) && operatingSystem(signs) === "windows"],
  [cosmosDb, (signs) => parameters("citus")(signs) && role("citus")(signs) && !parameters("azure")(signs)],
  [azureFlexibleServer, isAzure],
  [supabase, role("supabase_admin")],
  [digitalOcean, role("doadmin")],
  // Its role postgres is a superuser.
  [crunchyBridge, ({ roles }) => roles.includes("crunchy_superuser")],
  [heroku, any(({ schemas }) => schemas.length > 0, hasHerokuNames)],
  [huaweiRds, role("rdsAdmin")],
];

/**
 * The platform with these signs. Without any, `sourceType` names it, or the server is self-managed. Roles and names can come
 * with a migrated database, so `sourceType` precedes them.
 *
 * @example
 * ```ts
 * platformWith(signs, "OnPremises").name; // "Amazon RDS" if it has parameters rds.*
 * ```
 */
export function platformWith(signs: ServerSigns, sourceType?: SourceType): Platform {
  const certain = sourceType === undefined ? signs : { ...signs, roles: [], database: "", user: "" };
  const service = services.find(([, isSeen]) => isSeen(certain))?.[0];
  if (service) return service;
  return /EnterpriseDB/.test(signs.version) ? edb(signs) : platformOfType(sourceType, signs);
}

/**
 * The platform of a session's server.
 *
 * @param sourceType used unless parameters, functions or schemas of the server show its platform
 * @example
 * ```ts
 * const { name } = await detectPlatform(session); // "Amazon RDS"
 * ```
 */
export async function detectPlatform(session: Client, sourceType?: SourceType): Promise<Platform> {
  // 9.5 has no second argument. Its services define their parameters, so that pg_settings lists them.
  const known = (await serverVersion(session)) >= 90600 ? "current_setting(name, true) IS NOT NULL" : "false";
  const { rows } = await session.query<ServerSigns>(
    `SELECT pg_catalog.version() AS version,
            array(SELECT split_part(name, '.', 1) FROM pg_catalog.pg_settings WHERE strpos(name, '.') > 0
                  UNION SELECT split_part(name, '.', 1) FROM unnest($1::text[]) AS name WHERE ${known}) AS "parameterClasses",
            array(SELECT rolname::text FROM pg_catalog.pg_roles) AS roles,
            array(SELECT nspname::text FROM pg_catalog.pg_namespace WHERE nspname IN ('heroku_ext', '_heroku')) AS schemas,
            EXISTS (SELECT FROM pg_catalog.pg_proc WHERE proname = 'aurora_version'
                     AND pronamespace = 'pg_catalog'::pg_catalog.regnamespace) AS "hasAuroraVersion",
            current_setting('is_superuser') = 'on' AS "isSuperuser",
            current_database()::text AS database, current_user::text AS "user",
            (SELECT setting FROM pg_catalog.pg_settings WHERE name = 'data_directory') AS "dataDirectory",
            (SELECT setting FROM pg_catalog.pg_settings WHERE name = 'config_file') AS "configFile",
            (SELECT setting FROM pg_catalog.pg_settings WHERE name = 'hba_file') AS "hbaFile"`,
    [knownParameters],
  );
  return platformWith(rows[0]!, sourceType);
}

/** pg_settings omits parameters that only a configuration file defines. */
const knownParameters: readonly string[] = [
  ...["rds.logical_replication", "cloudsql.logical_decoding", "alloydb.logical_decoding"],
  ...["azure.extensions", "citus.shard_count"],
];
