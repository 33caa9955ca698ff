import type { Client } from "pg";
import { idleTimeoutSeconds, withoutIdleTimeout } from "../cdc/idle-slot.js";
import type { Finding } from "../store/journal.js";

/** That the source, from 18 on, may give up a slot which nobody reads for a while, as a migration's is now and then. */
export async function idleSlotTimeout(source: Client): Promise<Finding[]> {
  const seconds = await idleTimeoutSeconds(source);
  if (seconds === undefined) return [];
  return [
    {
      ...{ type: "ServerParametersValidation", state: "Warning", objectType: "Instance" },
      object: "idle_replication_slot_timeout",
      message: `the source gives up a slot that nobody reads for ${seconds} s, and the migration could then not go on: nobody reads it while tables are copied, while a database is paused, or while no worker runs`,
      remedy: withoutIdleTimeout("source"),
    },
  ];
}
