import { changeCaptureNames, readerSuffix, sourceObjectPrefix } from "../cdc/model/names.js";
import { Refused, Unreachable, messageOf } from "../errors.js";
import { applicationNamePrefix, connect } from "../postgres/connection/connect.js";
import { isConnectionLoss } from "../postgres/connection/connection-loss.js";
import { sqlStateOf, sqlStates } from "../postgres/sql-state.js";
import { sourceAdvice } from "../display/source-advice.js";
import { JobSlots } from "../async/semaphore.js";
import type { Work } from "./work.js";

/** What the source has too few of. */
interface Lack {
  readonly name: "max_replication_slots" | "max_wal_senders";
  readonly limit: number;
  readonly taken: number;
}

/** One is never given to a database: comparisons and cutovers of all of them need it for a moment. */
const spare = 1;

/**
 * Gives the source's replication slots to databases for as long as there are some. One that gets none is told so, and may
 * ask again: slots get free when another database is cut over or canceled, or somebody drops one or raises the limit.
 */
export class SourceSlots {
  /** Names of slots that are about to be made. */
  readonly #promised = new Set<string>();
  /** One look at a time: two databases must not see the same free slot. */
  readonly #looks = new JobSlots(() => 1);

  /**
   * Runs what makes the database's slot, where the source has one for it.
   *
   * @returns undefined where it has none; the database's message says so, and what to do
   */
  async begin<Begun>(work: Work, database: string, begin: () => Promise<Begun>): Promise<Begun | undefined> {
    const { slot } = changeCaptureNames(work.wish, database);
    const lack = await this.#looks.run(async () => {
      const found = await this.#lackFor(work, database, slot);
      if (!found) this.#promised.add(slot);
      return found;
    });
    if (lack) {
      await tell(work, database, sentence(work, lack));
      return undefined;
    }
    try {
      return await begin();
    } catch (error) {
      if (!isLackOfSlots(error)) throw error;
      // Somebody else was faster.
      await tell(work, database, `waiting for a replication slot of the source: ${messageOf(error)}`);
      return undefined;
    } finally {
      // From here on it is among those that the source names.
      this.#promised.delete(slot);
    }
  }

  /** @throws Unreachable when the source does not answer */
  async #lackFor({ source, wish }: Work, database: string, slot: string): Promise<Lack | undefined> {
    const session = await connect(source, { database, purpose: `${wish.migrationName} slots` });
    try {
      const { rows } = await session.query<Lack & { readonly held: boolean }>(
        `WITH slot AS (
           SELECT slot_name::text AS name FROM pg_catalog.pg_replication_slots UNION SELECT unnest($1::text[])
         )
         SELECT 'max_replication_slots' AS name, EXISTS (SELECT FROM slot WHERE name = $2) AS held, current_setting('max_replication_slots')::int AS limit,
                (SELECT count(*)::int FROM slot WHERE name <> $2) AS taken
         UNION ALL
         -- A slot of ours has, or is to have, a sender, unless SQL reads it.
         SELECT 'max_wal_senders', EXISTS (SELECT FROM slot WHERE name = $2), current_setting('max_wal_senders')::int,
                (SELECT count(*)::int FROM slot WHERE name <> $2 AND strpos(name, $3) = 1 AND right(name, length($5)) <> $5)
                + (SELECT count(*)::int FROM pg_catalog.pg_stat_replication
                    WHERE strpos(coalesce(application_name, ''), $4) <> 1)`,
        [[...this.#promised], slot, sourceObjectPrefix, applicationNamePrefix, readerSuffix],
      );
      return rows.find(({ limit, taken, held }) => !held && limit - taken < 1 + spare);
    } catch (error) {
      if (!isConnectionLoss(error)) throw error;
      throw new Unreachable(`${database}: ${messageOf(error)}`, { cause: error });
    } finally {
      await session.end();
    }
  }
}

async function tell({ journal }: Work, database: string, message: string): Promise<void> {
  await journal.database(database, { state: "InProgress", message });
}

function sentence({ wish }: Work, { name, limit, taken }: Lack): string {
  const what = name === "max_replication_slots" ? "replication slot" : "WAL sender";
  const wanted = String(taken + 1 + spare);
  return (
    `waiting for a free ${what} of the source: ${taken} of ${limit} are taken, and one is kept free for comparisons and cutovers. ` +
    `To do: cut over or cancel another database (dbsToTriggerCutoverOn, dbsToCancelMigrationOn), drop a slot that nothing needs ` +
    `(SELECT slot_name FROM pg_replication_slots WHERE NOT active), or ${sourceAdvice(wish.sourceType).set([{ name, value: wanted }])}`
  );
}

/** configuration_limit_exceeded, and too_many_connections where it says what of. */
function isLackOfSlots(error: unknown): boolean {
  if (!(error instanceof Refused)) return false;
  const code = sqlStateOf(error.cause);
  if (code === sqlStates.configurationLimitExceeded) return true;
  return code === sqlStates.tooManyConnections && error.message.includes("max_wal_senders");
}
