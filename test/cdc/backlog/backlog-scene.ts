import assert from "node:assert/strict";
import type { Follower } from "../../../provider/src/cdc/follower";
import type { FollowEvent, FollowOptions } from "../../../provider/src/cdc/follow-options";
import { readerSlot } from "../../../provider/src/cdc/model/names";
import type { Scene } from "../scene";
import type { StageOptions } from "../apply/stage";
import { until } from "../../support/until";

/** Reads every backlog in portions, and each portion covers little WAL. */
export const backlog = { behindBytes: 0, portionBytes: 1 << 20, aheadBytes: 64 << 10, restBytes: 8 << 10 };

export const manyRows = "CREATE TABLE many (id int PRIMARY KEY, n int)";

/** More rows than may be in flight. A portion is therefore not read completely while the target applies nothing. */
export const writeManyRows = (from: number): string => `
  DO $$ BEGIN
    FOR batch IN 0..599 LOOP
      INSERT INTO many SELECT ${from} + batch * 100 + i, batch FROM generate_series(1, 100) i;
      COMMIT;
    END LOOP;
  END $$`;

export const backlogServers: StageOptions = {
  from: 16,
  to: 17,
  parameters: { wal_sender_timeout: "5s", max_replication_slots: "6" },
};

/** Starts a follower that reads the backlog in portions, and collects its events. */
export function followBacklog(
  on: Scene,
  options: Partial<FollowOptions> = {},
): { follower: Follower; events: FollowEvent[] } {
  const events: FollowEvent[] = [];
  return { follower: on.follow({ backlog, onEvent: (event) => events.push(event), ...options }), events };
}

/** The slots of the source's database, and whether a session uses them. */
export async function slotsOf(on: Scene): Promise<Record<string, boolean>> {
  const rows = await on.onSource(
    "SELECT slot_name AS name, active FROM pg_replication_slots WHERE database = current_database()",
  );
  return Object.fromEntries(rows.map(({ name, active }) => [name as string, active as boolean]));
}

/** Holds the follower, and waits until a portion is partly received. */
export async function holdInPortion(on: Scene, follower: Follower): Promise<void> {
  await follower.hold();
  await until("a portion is partly received", () => follower.status().incomingChanges > 20_000);
  assert.deepEqual(await slotsOf(on), { [on.names.slot]: false, [readerSlot(on.names.slot)]: true });
}
