import assert from "node:assert/strict";
import { RefusedError } from "../../../provider/src/errors";
import type { Stage } from "../apply/stage";
import { until } from "../../support/until";
import { followBacklog, holdInPortion, manyRows, slotsOf, writeManyRows } from "./backlog-scene";

/** What another session does to the slot, and the error that names it. */
const slotChanges = {
  dropped: ["SELECT pg_drop_replication_slot($slot)", /slot does not exist/],
  recreated: [
    "SELECT pg_drop_replication_slot($slot); SELECT pg_create_logical_replication_slot($slot, 'pgoutput')",
    /recreated/,
  ],
  advanced: ["SELECT pg_replication_slot_advance($slot, pg_current_wal_lsn())", /advanced by another session/],
} as const;

/** Changes the slot while its backlog is read: the stream ends, and no change is skipped. */
export async function changeSlotMeanwhile(servers: Stage, change: keyof typeof slotChanges): Promise<void> {
  const [sql, expected] = slotChanges[change];
  const s = await servers.open(manyRows);
  await s.onSource(writeManyRows(0));
  const { follower } = followBacklog(s);
  await holdInPortion(s, follower);
  const before = await s.sourceLsn();
  await s.onSource("UPDATE many SET n = -1 WHERE id < 100");
  await s.onSource(sql.replaceAll("$slot", `'${s.names.slot}'`));
  await s.onSource("INSERT INTO many VALUES (-1, -1)");
  // The target must not get the update before the follower notices that the slot is beyond it.
  follower.releaseUpTo(before);
  const isStreaming = async (): Promise<boolean> => (await slotsOf(s))[s.names.slot] === true;
  await until("a walsender or its refusal", async () => follower.status().state === "failed" || (await isStreaming()));
  await assert.rejects(
    Promise.race([s.mustBecomeEqual(follower), follower.finished]),
    (error: Error) => error instanceof RefusedError && expected.test(error.message),
  );
}
