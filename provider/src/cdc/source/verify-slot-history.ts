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
 * Checks the history of a source with test_decoding, before the stream begins. Such a stream cannot begin before the target's
 * position, because the position of a repeated transaction is unknown until its end. This check peeks at the WAL between the
 * slot's and the target's position, and does not advance the slot.
 *
 * @param source a session without other queries meanwhile
 * @param stopped cancels the check and ends the session
 * @throws RefusedError if the history differs, or changes are missing
 * @throws CanceledError if `stopped` aborts
 */
export async function verifySlotHistory(
  source: Client,
  progress: Progress,
  parts: StreamRoles,
  stopped: AbortSignal,
): Promise<void> {
  const stop = (): void => {
    void requestCancel(source);
    // Do not wait for the server: it decodes from the start of its oldest open transaction on, or may not answer.
    abandon(source, new CanceledError("checking the source's history was stopped"));
  };
  stopped.addEventListener("abort", stop, { once: true });
  try {
    if (stopped.aborted) stop();
    await checkHistory(source, progress, parts);
  } finally {
    stopped.removeEventListener("abort", stop);
  }
}

async function checkHistory(source: Client, progress: Progress, parts: StreamRoles): Promise<void> {
  const slot = { name: progress.slot, parts };
  const history = new SlotHistory(progress, slot);
  const confirmed = await verifySlotPlace(source, slot, () => progress.appliedThroughLsn);
  const isBehind = confirmed === undefined || confirmed < progress.appliedThroughLsn;
  const commits = isBehind ? await peekCommits(source, slot, progress.appliedThroughLsn) : [];
  for (const commit of commits) history.add(commit);
  // Before 9.6 the confirmed position is unknown. It is not after the first commit that the source sends.
  history.begin(confirmed ?? commits[0]?.endLsn);
  history.end();
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
