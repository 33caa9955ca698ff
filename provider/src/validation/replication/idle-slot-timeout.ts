import type { Client } from "pg";
import { idleTimeoutSeconds, withoutIdleTimeout } from "../../cdc/source/idle-slot.js";
import type { Finding } from "../../findings.js";
import type { Platform } from "../../platforms/platform.js";

type Side = "source" | "target";

const endangered: Readonly<Record<Side, string>> = {
  source:
    "the migration could then not continue: its slot is idle while tables are copied, while a database is paused, or while no worker runs",
  target:
    "a return would then not be possible: its slot is idle while the source is unreachable, or while no worker runs",
};

/** Warns if a server invalidates idle slots (from PostgreSQL 18 on), because a migration's slot is idle at times. */
export async function idleSlotTimeout(session: Client, side: Side, platform: Platform): Promise<Finding[]> {
  const seconds = await idleTimeoutSeconds(session);
  if (seconds === undefined) return [];
  return [
    {
      ...{ type: "ServerParametersValidation", state: "Warning", objectType: "Instance" },
      code: "PGM-203",
      object: "idle_replication_slot_timeout",
      message: `the ${side} invalidates a slot that is idle for ${seconds} s, and ${endangered[side]}`,
      remedy: withoutIdleTimeout(side, platform),
    },
  ];
}
