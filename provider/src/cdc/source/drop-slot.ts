import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "pg";
import { RefusedError, TimeoutError } from "../../errors.js";
import { applicationNamePrefix, connect } from "../../postgres/connection/connect.js";
import type { Endpoint } from "../../postgres/connection/endpoint.js";
import { sqlStateOf, sqlStates } from "../../postgres/sql-state.js";
import { inspectSlot } from "./slot-state.js";

/**
 * Drops a slot; idempotent. It first terminates a migration's walsender that still streams from the slot, left by a worker
 * that died.
 *
 * @throws RefusedError if a session of another application streams from it
 * @throws TimeoutError if the slot stays in use
 */
export async function dropSlot(source: Endpoint, database: string, slot: string, timeoutSeconds = 30): Promise<void> {
  const client = await connect(source, { database, purpose: "drop slot" });
  try {
    await dropSlotBy(client, slot, timeoutSeconds);
  } finally {
    await client.end();
  }
}

/** Drops a slot through an open session; see {@link dropSlot}. */
export async function dropSlotBy(source: Client, slot: string, timeoutSeconds: number): Promise<void> {
  const deadline = Date.now() + timeoutSeconds * 1000;
  for (;;) {
    if (!(await inspectSlot(source, slot))) return;
    await terminateSlotConsumer(source, slot);
    if (await tryToDrop(source, slot)) return;
    if (Date.now() > deadline)
      throw new TimeoutError(`slot ${slot} on ${source.host} is still in use after ${timeoutSeconds} s`, {
        remedy: `end the session that streams from it, then run SELECT pg_drop_replication_slot('${slot}')`,
      });
    await sleep(100);
  }
}

async function tryToDrop(client: Client, slot: string): Promise<boolean> {
  try {
    await client.query("SELECT pg_catalog.pg_drop_replication_slot($1)", [slot]);
    return true;
  } catch (error) {
    if (sqlStateOf(error) === sqlStates.undefinedObject) return true;
    if (sqlStateOf(error) === sqlStates.objectInUse) return false;
    throw error;
  }
}

/**
 * Terminates the session that streams from a slot, if it belongs to a migration.
 *
 * @throws RefusedError if it belongs to another application
 */
export async function terminateSlotConsumer(source: Client, slot: string): Promise<void> {
  const { rows } = await source.query<{ pid: number; application: string | null }>(
    `SELECT s.active_pid AS pid, a.application_name AS application
       FROM pg_catalog.pg_replication_slots s LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = s.active_pid
      WHERE s.slot_name = $1 AND s.active_pid IS NOT NULL`,
    [slot],
  );
  const holder = rows[0];
  if (!holder) return;
  if (holder.application !== null && !holder.application.startsWith(applicationNamePrefix))
    throw new RefusedError(
      `slot ${slot} is in use by process ${holder.pid} (${holder.application || "unnamed"}), which does not belong to a migration`,
      {
        remedy: `end that session if it should not use the slot: SELECT pg_terminate_backend(${holder.pid})`,
      },
    );
  await source.query("SELECT pg_catalog.pg_terminate_backend($1)", [holder.pid]);
}
