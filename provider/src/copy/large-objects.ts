import type { Client } from "pg";
import { RefusedError, UnreachableError, messageOf } from "../errors.js";
import { isConnectionLoss } from "../postgres/connection/connection-loss.js";
import type { CopyRate } from "./copy-rate.js";

export interface LargeObjectsCopied {
  readonly objects: number;
  readonly bytes: number;
}

export interface LargeObjectsCopy {
  /** Called after each batch. */
  readonly onProgress?: ((objects: number, bytes: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Limits reading from the source, together with other copies. */
  readonly rate?: CopyRate | undefined;
}

/** Number of objects copied together, and bytes of each per read: a batch uses at most 16 MB. */
const objectsPerBatch = 64;
const chunkBytes = 256 * 1024;
/** Bytes by which the copy rate counts a batch, about a chunk of a table. */
const paceBytes = 64 * 1024;
/** Number of objects per listing. */
const objectsPerPage = 10_000;

/**
 * Copies all large objects under their OIDs, with one transaction per batch. Existing objects of the target are
 * replaced, so that the copy can be repeated. The target's role becomes their owner; privileges are part of the schema.
 *
 * @param source a session in the snapshot
 * @param target a session outside a transaction
 * @throws RefusedError when the source's role may not read one, or the target's may not replace one
 * @throws UnreachableError when a connection breaks
 * @throws the signal's reason when it aborts, between two reads
 */
export async function copyLargeObjects(
  source: Client,
  target: Client,
  options: LargeObjectsCopy = {},
): Promise<LargeObjectsCopied> {
  const { onProgress, signal } = options;
  const total = { objects: 0, bytes: 0 };
  for await (const batch of batches(source)) {
    signal?.throwIfAborted();
    try {
      await target.query("BEGIN");
      total.bytes += await copyBatch(source, target, batch, options);
      await target.query("COMMIT");
    } catch (error) {
      // Keep the first error. After a lost connection the server rolls back by itself.
      await target.query("ROLLBACK").catch(() => undefined);
      signal?.throwIfAborted();
      throw failure(error, batch);
    }
    total.objects += batch.length;
    onProgress?.(total.objects, total.bytes);
  }
  return total;
}

/** The OIDs of all large objects in order, in batches, because there may be millions. */
async function* batches(source: Client): AsyncGenerator<number[]> {
  for (let after = 0; ;) {
    const { rows } = await source.query<{ oid: number }>(
      `SELECT l.oid::int8::float8 AS oid FROM pg_largeobject_metadata l
        WHERE l.oid > $1::int8::oid ORDER BY l.oid LIMIT ${objectsPerPage}`,
      [after],
    );
    const oids = rows.map(({ oid }) => oid);
    for (let first = 0; first < oids.length; first += objectsPerBatch) yield oids.slice(first, first + objectsPerBatch);
    const last = oids.at(-1);
    if (last === undefined || oids.length < objectsPerPage) return;
    after = last;
  }
}

/** Creates the objects and writes them in chunks. Returns their size in bytes. */
async function copyBatch(
  source: Client,
  target: Client,
  oids: readonly number[],
  { signal, rate }: LargeObjectsCopy,
): Promise<number> {
  await target.query("SELECT lo_unlink(oid) FROM pg_largeobject_metadata WHERE oid = ANY ($1::oid[])", [oids]);
  await target.query("SELECT lo_create(oid) FROM unnest($1::oid[]) AS oid", [oids]);
  let bytes = 0;
  let offset = 0;
  for (let unfinished = oids; unfinished.length > 0; offset += chunkBytes) {
    const { rows } = await source.query<{ oid: number; data: Buffer }>(
      "SELECT oid::int8::float8 AS oid, lo_get(oid, $2, $3) AS data FROM unnest($1::oid[]) AS oid",
      [unfinished, offset, chunkBytes],
    );
    const filled = rows.filter(({ data }) => data.length > 0);
    await target.query("SELECT lo_put(oid, $3, data) FROM unnest($1::oid[], $2::bytea[]) AS chunk (oid, data)", [
      filled.map(({ oid }) => oid),
      filled.map(({ data }) => data),
      offset,
    ]);
    const read = filled.reduce((sum, { data }) => sum + data.length, 0);
    bytes += read;
    // In small steps, so that copies of tables continue in between.
    for (let left = read; left > 0 && !signal?.aborted; left -= paceBytes)
      await rate?.pace(Math.min(left, paceBytes), signal);
    signal?.throwIfAborted();
    unfinished = rows.filter(({ data }) => data.length === chunkBytes).map(({ oid }) => oid);
  }
  return bytes;
}

function failure(error: unknown, batch: readonly number[]): RefusedError | UnreachableError {
  const what = `copying large objects ${batch[0]!} to ${batch.at(-1)!}: ${messageOf(error)}`;
  if (isConnectionLoss(error)) return new UnreachableError(what, { cause: error });
  return new RefusedError(what, {
    remedy:
      "the source's role has to own the large objects or have SELECT on them, and the target's role has to own them",
    cause: error,
  });
}
