import type { Client } from "pg";
import { CanceledError } from "../../errors.js";
import { requestCancel } from "../../postgres/connection/cancel-request.js";
import { formatLsn, type Lsn, parseLsn } from "../../postgres/lsn.js";
import { abandon } from "../../postgres/connection/session.js";
import { TestDecodingDecoder, testDecodingOptions } from "../decode/test-decoding.js";
import type { StreamMessage } from "../model/change.js";
import type { StreamRoles } from "../model/stream-roles.js";
import type { Progress } from "../target/progress.js";
import { SlotHistory } from "./slot-history.js";
import { type StreamSlot, asWalRemoved, verifySlotPlace } from "./slot-identity.js";

/**
 * Judges the past of a source that tells by test_decoding. A stream of that plugin cannot begin before where the target
 * is: what it sent again would not be told from the rest before its end. So what lies between is looked at beforehand,
 * which leaves the slot where it is.
 *
 * @param source a session of which nobody expects anything meanwhile
 * @param stopped ends it, and the session
 * @throws RefusedError when the past is another one, or the slot is no longer what it was
 * @throws CanceledError when stopped
 */
export async function verifySlotHistory(
  source: Client,
  progress: Progress,
  parts: StreamRoles,
  stopped: AbortSignal,
): Promise<void> {
  const stop = (): void => {
    void requestCancel(source);
    // The server may be at decoding for as long as its oldest open transaction is old, or not answer.
    abandon(source, new CanceledError("looking at the source's past was stopped"));
  };
  stopped.addEventListener("abort", stop, { once: true });
  try {
    if (stopped.aborted) stop();
    await judgePast(source, progress, parts);
  } finally {
    stopped.removeEventListener("abort", stop);
  }
}

async function judgePast(source: Client, progress: Progress, parts: StreamRoles): Promise<void> {
  const slot = { name: progress.slot, parts };
  const past = new SlotHistory(progress, slot);
  const confirmed = await verifySlotPlace(source, slot, () => progress.appliedThroughLsn);
  const isBehind = confirmed === undefined || confirmed < progress.appliedThroughLsn;
  const commits = isBehind ? await peekCommits(source, slot, progress.appliedThroughLsn) : [];
  for (const commit of commits) past.passes(commit);
  // Where the source does not tell, it begins no later than the first that it sends.
  past.begins(confirmed ?? commits[0]?.endLsn);
  past.ends();
}

type Commit = Extract<StreamMessage, { kind: "commit" }>;

async function peekCommits(source: Client, slot: StreamSlot, appliedThroughLsn: Lsn): Promise<Commit[]> {
  const options = Object.entries(testDecodingOptions).flat();
  const sent = source.query<{ lsn: string; data: string }>(
    `SELECT lsn::text, data
       FROM pg_catalog.pg_logical_slot_peek_changes($1, $2::pg_lsn, NULL, VARIADIC $3::text[]) AS sent (lsn, xid, data)
      WHERE lsn OPERATOR(pg_catalog.<=) $2::pg_lsn AND data OPERATOR(pg_catalog.~~) 'COMMIT %'`,
    [slot.name, formatLsn(appliedThroughLsn), options],
  );
  const { rows } = await sent.catch((error: unknown) => {
    throw asWalRemoved(slot, error);
  });
  const decoder = new TestDecodingDecoder([]);
  return rows.map(({ lsn, data }) => {
    const bytes = Buffer.from(data);
    return decoder.decode(bytes, 0, bytes.length, () => parseLsn(lsn)) as Commit;
  });
}
