import type { Client } from "pg";
import { messageOf } from "../../errors.js";
import type { Finding, Problem } from "../../findings.js";
import type { AzureServer } from "../../platforms/azure-server.js";
import { readAzureTarget } from "../../target-checks/azure-storage.js";
import type { MigrationSpec } from "../../inputs/inputs.js";
import { readSelection } from "../../schema/plan/selection.js";
import { formatBytes } from "../../units/byte-size.js";
import type { Rule } from "../context.js";

/**
 * PGM-309 to PGM-311: storage, standby and read replicas of a flexible server, if `targetDbServerResourceId` has its complete
 * id. Without access to Azure, they are not checked.
 */
export const azureTarget: Rule = async ({ spec, sources }) => {
  const id = spec.targetDbServerResourceId;
  if (id === undefined) return [];
  try {
    const server = await readAzureTarget(id, spec.target.auth);
    const sizes = await Promise.all([...sources.values()].map((source) => bytesToCopy(source, spec)));
    const problems = azureProblems(
      id,
      server,
      sizes.reduce((sum, bytes) => sum + bytes, 0),
    );
    return problems.length > 0 ? problems : [notice("the target has enough storage, no standby and no read replicas")];
  } catch (error) {
    return [notice(`storage, standby and read replicas of the target are not checked: ${messageOf(error)}`)];
  }
};

const notice = (message: string): Finding => ({
  ...{ type: "ServerParametersValidation", state: "Succeeded", objectType: "Instance", object: "target" },
  message,
});

/**
 * The size of what a migration copies of the session's database. For excluded tables and their indexes, it is as of their last
 * VACUUM or ANALYZE, because reading the present size would wait for their locks.
 */
export async function bytesToCopy(
  source: Client,
  spec: Pick<MigrationSpec, "schemaOnly" | "include" | "exclude">,
): Promise<number> {
  if (spec.schemaOnly) return 0;
  const { cut } = await readSelection(source, spec);
  const { rows } = await source.query<{ bytes: string }>(
    `SELECT pg_catalog.pg_database_size(pg_catalog.current_database())
            - coalesce((SELECT sum(relpages::int8) FROM pg_catalog.pg_class WHERE '1259/' || oid = ANY ($1)), 0)
            * pg_catalog.current_setting('block_size')::int8 AS bytes`,
    [[...cut]],
  );
  return Number(rows[0]!.bytes);
}

const gib = 1024 ** 3;

/**
 * Microsoft advises a storage of at least 1.25 times the source, and no standby and no read replicas during the copy.
 *
 * @param bytes size of the databases to migrate
 * @see https://learn.microsoft.com/en-us/azure/postgresql/migrate/migration-service/best-practices-migration-service-postgresql
 */
export function azureProblems(id: string, { storageGib, hasStandby, replicas }: AzureServer, bytes: number): Problem[] {
  const update = `az postgres flexible-server update --ids ${id}`;
  const neededGib = Math.ceil((1.25 * bytes) / gib);
  return [
    ...(storageGib < neededGib
      ? [
          problem(
            "PGM-309",
            `the target has ${storageGib} GiB of storage, less than 1.25 times the databases to migrate (${formatBytes(bytes)})`,
            `${update} --storage-size ${nextStorageSize(neededGib)}`,
          ),
        ]
      : []),
    ...(hasStandby
      ? [
          problem(
            "PGM-310",
            "high availability of the target is on: its standby replays every write of the copy",
            `${update} --zonal-resiliency Disabled; after the migration, enable it again`,
          ),
        ]
      : []),
    ...(replicas.length > 0
      ? [
          problem(
            "PGM-311",
            `the target has read replicas, which replay every write of the copy: ${replicas.map(nameOf).join(", ")}`,
            `delete the replicas, and create them after the migration: az postgres flexible-server delete --ids ${replicas.join(" ")}`,
          ),
        ]
      : []),
  ];
}

const nameOf = (id: string): string => id.slice(id.lastIndexOf("/") + 1);

/** The sizes that the service offers are powers of two from 32 GiB on, and 32767 GiB. */
const nextStorageSize = (gibibytes: number): number =>
  Math.min(32_767, 2 ** Math.max(5, Math.ceil(Math.log2(gibibytes))));

const problem = (code: "PGM-309" | "PGM-310" | "PGM-311", message: string, remedy: string): Problem => ({
  ...{ type: "ServerParametersValidation", state: "Warning", objectType: "Instance", object: "target" },
  ...{ code, message, remedy },
});
