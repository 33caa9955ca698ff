import { listProgress } from "../cdc/target/list-progress.js";
import { RefusedError } from "../errors.js";
import type { Inputs } from "../inputs/inputs.js";
import { targetDatabase } from "../inputs/target-database.js";
import { connect, isMissingDatabase } from "../postgres/connection/connect.js";

/**
 * For a migration whose record is missing. Its databases on the target may have been cut over without Pulumi's knowledge,
 * and be in use since. Only those with the progress of this migration certainly are not.
 *
 * @throws RefusedError naming the databases that may be in use
 */
export async function refuseDatabasesInUse(inputs: Inputs): Promise<void> {
  const { migrationName, dbsToMigrate, target } = inputs;
  const names = dbsToMigrate.map((database) => targetDatabase(inputs, database));
  const replicated = await Promise.all(names.map((name) => isReplacedSafely(inputs, name)));
  const inUse = names.filter((_, index) => !replicated[index]).join(", ");
  if (inUse === "") return;
  throw new RefusedError(
    `the record of ${migrationName} is missing on ${target.host}:${target.port}, and ${inUse} there may be in use: this migration no longer replicates into it`,
    {
      remedy: `to migrate ${inUse} again, drop it on the target and run pulumi up; otherwise remove this resource from the program`,
    },
  );
}

async function isReplacedSafely({ target, migrationName }: Inputs, database: string): Promise<boolean> {
  try {
    const session = await connect(target, { database, purpose: `${migrationName} look for progress` });
    return (await listProgress(session).finally(() => session.end())).includes(migrationName);
  } catch (error) {
    if (isMissingDatabase(error)) return true;
    throw error;
  }
}
