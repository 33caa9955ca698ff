import type { Client } from "pg";
import { Refused, Unreachable, messageOf } from "../errors.js";
import { isConnectionLoss } from "../postgres/connection-loss.js";
import { quoteIdentifier } from "../postgres/identifiers.js";
import { serverVersion } from "../postgres/server-version.js";

export interface LargeObjectsCopied {
  readonly objects: number;
  readonly bytes: number;
  /** Objects that keep the target's role as owner: theirs is not there, or not ours to give to. */
  readonly ownersLost: number;
  /** Objects with privileges granted on the source, which are not carried. */
  readonly withPrivileges: number;
}

export interface LargeObjectsCopy {
  /** Told after each batch. */
  readonly onProgress?: ((objects: number, bytes: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

interface LargeObject {
  readonly oid: number;
  readonly owner: string;
  readonly granted: boolean;
}

/** Objects copied at once, and bytes of each read at once: together a batch holds 16 MB at most. */
const objectsPerBatch = 64;
const chunkBytes = 256 * 1024;
/** Objects listed at once. */
const objectsPerPage = 10_000;

/**
 * Copies every large object under its OID, in a transaction per batch. An object that the target already has is
 * replaced, so the copy can be repeated.
 *
 * @param source a session in the snapshot
 * @param target a session outside a transaction
 * @throws Refused when the source's role may not read one, or the target's may not replace one
 * @throws Unreachable when a connection breaks
 * @throws the signal's reason when it aborts, between two batches
 */
export async function copyLargeObjects(
  source: Client,
  target: Client,
  { onProgress, signal }: LargeObjectsCopy = {},
): Promise<LargeObjectsCopied> {
  const total = { objects: 0, bytes: 0, ownersLost: 0, withPrivileges: 0 };
  const mayBeOwner = await possibleOwners(target);
  for await (const batch of batches(source)) {
    signal?.throwIfAborted();
    const { rows } = await target.query<{ name: string }>("SELECT current_user::text AS name");
    try {
      await target.query("BEGIN");
      total.bytes += await copyBatch(source, target, batch);
      total.ownersLost += await giveToOwners(target, batch, mayBeOwner, rows[0]!.name);
      await target.query("COMMIT");
    } catch (error) {
      // Where the connection is lost the server rolls back by itself; the first error is the one to tell.
      await target.query("ROLLBACK").catch(() => undefined);
      throw failure(error, batch);
    }
    total.objects += batch.length;
    total.withPrivileges += batch.filter(({ granted }) => granted).length;
    onProgress?.(total.objects, total.bytes);
  }
  return total;
}

/** All large objects in the order of their OIDs, some at a time: there may be millions. */
async function* batches(source: Client): AsyncGenerator<LargeObject[]> {
  for (let after = 0; ;) {
    const { rows } = await source.query<LargeObject>(
      `SELECT l.oid::int8::float8 AS oid, pg_get_userbyid(l.lomowner)::text AS owner, l.lomacl IS NOT NULL AS granted
         FROM pg_largeobject_metadata l WHERE l.oid > $1::int8::oid ORDER BY l.oid LIMIT ${objectsPerPage}`,
      [after],
    );
    for (let first = 0; first < rows.length; first += objectsPerBatch) yield rows.slice(first, first + objectsPerBatch);
    const last = rows.at(-1);
    if (!last || rows.length < objectsPerPage) return;
    after = last.oid;
  }
}

/** Makes the objects anew and fills them chunk by chunk; answers how many bytes they have. */
async function copyBatch(source: Client, target: Client, batch: readonly LargeObject[]): Promise<number> {
  const oids = batch.map(({ oid }) => oid);
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
    bytes += filled.reduce((sum, { data }) => sum + data.length, 0);
    unfinished = rows.filter(({ data }) => data.length === chunkBytes).map(({ oid }) => oid);
  }
  return bytes;
}

/** The roles that the session may make owners, its own included. */
async function possibleOwners(target: Client): Promise<ReadonlySet<string>> {
  const privilege = (await serverVersion(target)) >= 160000 ? "SET" : "MEMBER";
  const { rows } = await target.query<{ role: string }>(
    "SELECT rolname::text AS role FROM pg_roles WHERE pg_has_role(oid, $1)",
    [privilege],
  );
  return new Set(rows.map(({ role }) => role));
}

/** Answers how many objects could not be given to their owner. */
async function giveToOwners(
  target: Client,
  batch: readonly LargeObject[],
  mayBeOwner: ReadonlySet<string>,
  us: string,
): Promise<number> {
  const foreign = batch.filter(({ owner }) => owner !== us);
  const givable = foreign.filter(({ owner }) => mayBeOwner.has(owner));
  if (givable.length > 0)
    await target.query(
      givable.map(({ oid, owner }) => `ALTER LARGE OBJECT ${oid} OWNER TO ${quoteIdentifier(owner)}`).join("; "),
    );
  return foreign.length - givable.length;
}

function failure(error: unknown, batch: readonly LargeObject[]): Refused | Unreachable {
  const what = `copying large objects ${batch[0]!.oid} to ${batch.at(-1)!.oid}: ${messageOf(error)}`;
  if (isConnectionLoss(error)) return new Unreachable(what, { cause: error });
  return new Refused(what, {
    remedy: "the source's role has to own the large objects or be granted SELECT on them, the target's has to own them",
    cause: error,
  });
}
