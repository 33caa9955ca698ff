import type { Client } from "pg";
import { idleTimeoutSeconds, withoutIdleTimeout } from "../../cdc/source/idle-slot.js";
import type { Finding } from "../../findings.js";

type Side = "source" | "target";

const endangered: Readonly<Record<Side, string>> = {
  source:
    "the migration could then not go on: nobody reads it while tables are copied, while a database is paused, or while no worker runs",
  target: "the way back could then not be taken: nobody reads it while the source is away, or while no worker runs",
};

/** That a server, from 18 on, may give up a slot which nobody reads for a while, as one of ours is now and then. */
export async function idleSlotTimeout(session: Client, side: Side): Promise<Finding[]> {
  const seconds = await idleTimeoutSeconds(session);
  if (seconds === undefined) return [];
  return [
    {
      ...{ type: "ServerParametersValidation", state: "Warning", objectType: "Instance" },
      object: "idle_replication_slot_timeout",
      message: `the ${side} gives up a slot that nobody reads for ${seconds} s, and ${endangered[side]}`,
      remedy: withoutIdleTimeout(side),
    },
  ];
}
