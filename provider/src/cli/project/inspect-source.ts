import { formatTable } from "../../display/format-table.js";
import { isMatchedByPatterns, isPattern } from "../../inputs/database-patterns.js";
import { serviceDatabases } from "../../inputs/service-databases.js";
import { detectPlatform } from "../../platforms/detect-platform.js";
import { withAccessCommands } from "../../platforms/let-in.js";
import { platformOfHost } from "../../platforms/platforms.js";
import { withAnyDatabase } from "../../postgres/connection/any-database.js";
import type { Endpoint } from "../../postgres/connection/endpoint.js";
import { type Database, listDatabases } from "../../postgres/databases.js";
import { formatBytes } from "../../units/byte-size.js";
import { checkSource, type Check } from "../migration/source-readiness.js";

/** What a source shows about a future migration. */
export interface InspectedSource {
  readonly version: string;
  readonly platform: string;
  readonly databases: readonly Database[];
  /** The requirements of an online migration of one database. */
  readonly checks: readonly Check[];
}

/**
 * @param preferred names and patterns; sessions in the named databases are tried first
 * @throws RefusedError, UnreachableError with the commands of the source's platform
 */
export async function inspectSource(endpoint: Endpoint, preferred: readonly string[] = []): Promise<InspectedSource> {
  try {
    const names = preferred.filter((entry) => !isPattern(entry));
    return await withAnyDatabase({ endpoint, preferred: names, purpose: "inspect source" }, async (session) => {
      const databases = (await listDatabases(session)).filter(({ name }) => !serviceDatabases.includes(name));
      const platform = await detectPlatform(session);
      const checks = await checkSource(session, platform, 1);
      const { current: version = "" } = checks.find(({ check }) => check === "version") ?? {};
      return { version, platform: platform.name, databases, checks };
    });
  } catch (error) {
    throw withAccessCommands(error, endpoint, platformOfHost(endpoint));
  }
}

/** Requirements that no setting of the source meets. */
const permanent: readonly string[] = ["platform", "version", "primary server"];

export const isReadyForOnline = ({ checks }: InspectedSource): boolean => checks.every(({ ok }) => ok);

/** Why the source can never be migrated online, or nothing. */
export const onlineObstacle = ({ checks }: InspectedSource): string | undefined =>
  checks.find(({ check, ok }) => !ok && permanent.includes(check))?.remedy;

/** The source for people: server, databases, and what an online migration still requires. */
export function describeSource(inspected: InspectedSource): string {
  const { version, platform, databases, checks } = inspected;
  const table = formatTable(
    ["Database", "Size", "Pattern"],
    databases.map((one) => [
      one.name,
      one.bytes === null ? "?" : formatBytes(one.bytes),
      isMatchedByPatterns(one) ? "yes" : "no",
    ]),
  );
  const remedies = new Set(checks.flatMap(({ ok, remedy }) => (ok || remedy === undefined ? [] : [`  ${remedy}`])));
  const readiness = isReadyForOnline(inspected)
    ? ["The source is ready for an online migration."]
    : ["An online migration also requires:", ...remedies];
  return [`The source is PostgreSQL ${version}. Platform: ${platform}.`, "", table, "", ...readiness].join("\n");
}
