import { inspectSlot } from "../../cdc/source/slot-state.js";
import { changeCaptureNames, readerSuffix, sourceObjectPrefix } from "../../cdc/model/names.js";
import { RefusedError, UnreachableError, messageOf } from "../../errors.js";
import { applicationNamePrefix } from "../../postgres/connection/connect.js";
import { withSession } from "../../postgres/connection/with-session.js";
import { isConnectionLoss } from "../../postgres/connection/connection-loss.js";
import { sqlStateOf, sqlStates } from "../../postgres/sql-state.js";
import { detectPlatform } from "../../platforms/detect-platform.js";
import { parameterCommands, type Platform } from "../../platforms/platform.js";
import { Semaphore } from "../../async/semaphore.js";
import type { Work } from "../context/work.js";

/** A server parameter of the source that limits the number of slots or senders. */
interface Limit {
  readonly name: "max_replication_slots" | "max_wal_senders";
  readonly limit: number;
  readonly taken: number;
}

interface Shortage extends Limit {
  readonly platform: Platform;
}

/** Slots reserved for comparisons and cutovers. */
const reserved = 1;

/**
 * Assigns the source's free replication slots to databases. A database without a slot shows that in its message and tries
 * again. A slot becomes free when another database is cut over or canceled, or when the user drops one or raises the limit.
 */
export class SourceSlots {
  /** Names of slots that are about to be created. */
  readonly #assigned = new Set<string>();
  /** One check at a time: two databases must not see the same free slot. */
  readonly #checks = new Semaphore(() => 1);

  /**
   * Runs `begin`, which creates the database's slot, if the source has a free one.
   *
   * @returns undefined if no slot is free; the database's message then explains what to do
   */
  async begin<Begun>(work: Work, database: string, begin: () => Promise<Begun>): Promise<Begun | undefined> {
    const { slot } = changeCaptureNames(work.spec, database);
    const shortage = await this.#checks.run(async () => {
      const found = await this.#shortageFor(work, database, slot);
      if (!found) this.#assigned.add(slot);
      return found;
    });
    if (shortage) {
      await setMessage(work, database, waitingMessage(shortage));
      return undefined;
    }
    try {
      return await begin();
    } catch (error) {
      if (!isLimitExceeded(error) || (isOfSlots(error) && (await hasSlot(work, database, slot)))) throw error;
      // Another client took the slot in the meantime.
      await setMessage(work, database, `waiting for a replication slot of the source: ${messageOf(error)}`);
      return undefined;
    } finally {
      // Now pg_replication_slots lists it.
      this.#assigned.delete(slot);
    }
  }

  /** @throws UnreachableError when the source does not respond */
  async #shortageFor({ source, spec }: Work, database: string, slot: string): Promise<Shortage | undefined> {
    try {
      const options = { database, purpose: `${spec.migrationName} slots` };
      return await withSession(source, options, async (session) => {
        const { rows } = await session.query<Limit & { readonly held: boolean }>(
          `WITH slot AS (
           SELECT slot_name::text AS name FROM pg_catalog.pg_replication_slots UNION SELECT unnest($1::text[])
         )
         SELECT 'max_replication_slots' AS name, EXISTS (SELECT FROM slot WHERE name = $2) AS held, current_setting('max_replication_slots')::int AS limit,
                (SELECT count(*)::int FROM slot WHERE name <> $2) AS taken
         UNION ALL
         -- Each of our slots needs a WAL sender, unless it is read through SQL.
         SELECT 'max_wal_senders', EXISTS (SELECT FROM slot WHERE name = $2), current_setting('max_wal_senders')::int,
                (SELECT count(*)::int FROM slot WHERE name <> $2 AND strpos(name, $3) = 1 AND right(name, length($5)) <> $5)
                + (SELECT count(*)::int FROM pg_catalog.pg_stat_replication
                    WHERE strpos(coalesce(application_name, ''), $4) <> 1)`,
          [[...this.#assigned], slot, sourceObjectPrefix, applicationNamePrefix, readerSuffix],
        );
        const reached = rows.find(({ limit, taken, held }) => !held && limit - taken < 1 + reserved);
        return reached && { ...reached, platform: await detectPlatform(session, spec.sourceType) };
      });
    } catch (error) {
      if (!isConnectionLoss(error)) throw error;
      throw new UnreachableError(`${database}: ${messageOf(error)}`, { cause: error });
    }
  }
}

/** The target reports configuration_limit_exceeded, too: for temporary files. The source has the slot by then. */
const isOfSlots = (error: unknown): boolean =>
  sqlStateOf((error as RefusedError).cause) === sqlStates.configurationLimitExceeded;

function hasSlot({ source, spec }: Work, database: string, slot: string): Promise<boolean> {
  const place = { database, purpose: `${spec.migrationName} slots` };
  return withSession(source, place, async (session) => (await inspectSlot(session, slot)) !== undefined);
}

async function setMessage({ journal }: Work, database: string, message: string): Promise<void> {
  await journal.database(database, { state: "InProgress", message });
}

function waitingMessage({ name, limit, taken, platform }: Shortage): string {
  const resource = name === "max_replication_slots" ? "replication slot" : "WAL sender";
  const wanted = String(taken + 1 + reserved);
  return (
    `waiting for a free ${resource} of the source: ${taken} of ${limit} are taken, and one is kept free for comparisons and cutovers. ` +
    `To do: cut over or cancel another database (dbsToTriggerCutoverOn, dbsToCancelMigrationOn), drop an unused slot ` +
    `(SELECT slot_name FROM pg_replication_slots WHERE NOT active), or ${parameterCommands(platform, [{ name, value: wanted }])}`
  );
}

/** configuration_limit_exceeded, or too_many_connections for WAL senders. */
function isLimitExceeded(error: unknown): boolean {
  if (!(error instanceof RefusedError)) return false;
  const code = sqlStateOf(error.cause);
  if (code === sqlStates.configurationLimitExceeded) return true;
  return code === sqlStates.tooManyConnections && error.message.includes("max_wal_senders");
}
