import type { Client } from "pg";
import { messageOf } from "../../errors.js";
import { connect } from "../../postgres/connection/connect.js";
import type { Endpoint } from "../../postgres/connection/endpoint.js";
import { abandon } from "../../postgres/connection/session.js";
import { readerSlot } from "../model/names.js";
import { dropSlotBy } from "../source/drop-slot.js";

const startLimitMs = 30_000;

/** A session with a temporary copy of the stream's slot. */
export interface BacklogSession {
  readonly client: Client;
  readonly processId: number;
  readonly slot: string;
}

/**
 * Opens a session and copies the slot. It does not take the source's last free slot, because a comparison needs one.
 *
 * @param by another session on the source; its owner ends it if the source does not answer
 * @returns the reason if the source refuses; the walsender has to read the backlog then
 */
export async function openBacklogSession(
  source: Endpoint,
  by: Client,
  database: string,
  slot: string,
): Promise<BacklogSession | string> {
  const copy = readerSlot(slot);
  let client: Client | undefined;
  let timer: NodeJS.Timeout | undefined;
  try {
    // The copy of a worker that died or was just superseded.
    await dropSlotBy(by, copy, startLimitMs / 1000);
    const opened = (client = await connect(source, { database, purpose: "read backlog", unwatched: true }));
    timer = setTimeout(() => abandon(opened), startLimitMs);
    const { rows } = await client.query<{ pid: number }>(
      `SELECT pg_catalog.pg_backend_pid() AS pid, pg_catalog.pg_copy_logical_replication_slot($1, $2, true)
        WHERE ${freeSlots} > 1`,
      [slot, copy],
    );
    const { rows: left } = await client.query<{ free: number }>(`SELECT ${freeSlots} AS free`);
    if (!rows[0] || left[0]!.free < 1) {
      await client.end();
      return "it needs a replication slot of the source, but too few are free";
    }
    await client.query(settings);
    return { client, processId: rows[0].pid, slot: copy };
  } catch (error) {
    await client?.end().catch(() => undefined);
    // If the source is unreachable, the walsender reports it.
    return messageOf(error);
  } finally {
    clearTimeout(timer);
  }
}

const freeSlots =
  "current_setting('max_replication_slots')::int - (SELECT count(*)::int FROM pg_catalog.pg_replication_slots)";

/** A backend ends if its client is gone, even while it decodes. Most portions fit into this memory and need no file. */
const settings = `
  SELECT pg_catalog.set_config(wanted.name, wanted.value, false)
    FROM (VALUES ('client_connection_check_interval', '5s'), ('work_mem', '32MB')) AS wanted (name, value)
    JOIN pg_catalog.pg_settings AS known ON known.name OPERATOR(pg_catalog.=) wanted.name`;
