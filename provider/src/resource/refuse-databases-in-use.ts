import { listProgress } from "../cdc/target/list-progress.js";
import { RefusedError } from "../errors.js";
import type { Inputs } from "../inputs/inputs.js";
import { targetDatabase } from "../inputs/target-database.js";
import { connect, isMissingDatabase } from "../postgres/connection/connect.js";

/**
 * For a migration that starts again because its record, or what replicates, is missing. Its databases on the target may have been
 * cut over without Pulumi's knowledge, and be in use since. Only those with the progress of this migration certainly are not.
 *
 * @param loss.what the reason to start again
 * @throws RefusedError naming the databases that may be in use
 */
export async function refuseDatabasesInUse(
  inputs: Inputs,
  { what, dbsToMigrate = inputs.dbsToMigrate }: { readonly what: string; readonly dbsToMigrate?: readonly string[] },
): Promise<void> {
  const { target } = inputs;
  const names = dbsToMigrate.map((database) => targetDatabase(inputs, database));
  const replicated = await Promise.all(names.map((name) => isReplacedSafely(inputs, name)));
  const inUse = names.filter((_, index) => !replicated[index]).join(", ");
  if (inUse === "") return;
  throw new RefusedError(
    `${what}, and ${inUse} on ${target.host}:${target.port} may be in use: this migration no longer replicates into it`,
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
