import { ContentDiffersError, messageOf } from "../../errors.js";
import pg from "pg";
import { formatLsn } from "../../postgres/lsn.js";
import { quoteIdentifier } from "../../postgres/identifiers.js";
import { sqlStates } from "../../postgres/sql-state.js";
import type { TableMapping } from "../binding/table-mapping.js";
import type { Change, Relation } from "../model/change.js";
import { describeRow } from "./describe-row.js";
import type { OrderedChange } from "../batch/coalesce.js";
import type { BatchSegment } from "../batch/transaction-buffer.js";
import type { StreamRoles } from "../model/stream-roles.js";
import { RowMissing, requiresSourceOrder } from "../model/signals.js";

/** The target has no row for a change, or refuses the change. */
export class ChangeRefused extends ContentDiffersError {
  constructor(
    /** Qualified and quoted. */
    readonly table: string,
    readonly relation: Relation,
    ...details: ConstructorParameters<typeof ContentDiffersError>
  ) {
    super(...details);
  }
}

function changeRemedy({ change, binding }: OrderedChange, { stream }: StreamRoles, cause: unknown): string {
  if (stream === "rollback replication" && binding.keyed && binding.relation.replicaIdentity === "f")
    return `if the target's table had no primary key for a while, drop the primary key of ${binding.name} on the source; otherwise another session wrote to the source after the cutover: correct this row on the source. The rollback replication then resumes`;
  if (stream === "rollback replication")
    return "another session wrote to the source after the cutover: compare this row on both servers and correct it on the source; the rollback replication then resumes";
  if (isInsertOnly(change, binding))
    return `the source has deleted or updated the conflicting row, but updates and deletes of a table without a key are not replicated. On the source: ALTER TABLE ${binding.name} REPLICA IDENTITY FULL, or add a primary key; then run pulumi up, which copies the table again`;
  if (isDomainViolation(cause)) {
    const [schema, domain] = [cause.schema ?? "public", cause.dataType!].map(quoteIdentifier);
    const dropped =
      cause.constraint === undefined ? "DROP NOT NULL" : `DROP CONSTRAINT ${quoteIdentifier(cause.constraint)}`;
    return (
      `the source has this value because its constraint is NOT VALID or calls a function that has changed. On the target: ` +
      `ALTER DOMAIN ${schema}.${domain} ${dropped}; pulumi up then resumes with this transaction. After the cutover, add the constraint again with NOT VALID`
    );
  }
  const correction =
    cause instanceof RowMissing
      ? "compare this row on both servers and insert it on the target as the source has it"
      : "compare the conflicting row on both servers and correct it on the target, for example by deleting a row that the source does not have";
  return `another session wrote to the target: ${correction}; pulumi up then resumes with this transaction`;
}

/** A CHECK or NOT NULL of a domain: the value itself violates it, so there is no conflict with another row. */
const isDomainViolation = (cause: unknown): cause is pg.DatabaseError =>
  cause instanceof pg.DatabaseError &&
  cause.dataType !== undefined &&
  (cause.code === sqlStates.checkViolation || cause.code === sqlStates.notNullViolation);

/** Names the transaction, the table and the row. An error that does not concern the row is returned unchanged. */
export function changeFailure(
  ordered: OrderedChange,
  batch: readonly BatchSegment[],
  parts: StreamRoles,
  cause: unknown,
): Error {
  if (!requiresSourceOrder(cause)) return cause as Error;
  const { change, binding } = ordered;
  const { transaction, end } = segmentOf(ordered.place, batch);
  const lsn = transaction.commitLsn ?? end?.lsn;
  return new ChangeRefused(
    binding.name,
    binding.relation,
    `${change.kind.toUpperCase()} of ${describeRow(ordered)} in ${binding.name}, transaction ${transaction.xid} ` +
      `committed at ${lsn === undefined ? "an unknown position" : formatLsn(lsn)}, cannot be applied: ${messageOf(cause)}`,
    {
      remedy: changeRemedy(ordered, parts, cause),
      code: "PGM-504",
      cause,
    },
  );
}

/** Without a replica identity, only the inserts of a table are published. */
const isInsertOnly = ({ kind }: Change, { relation }: TableMapping): boolean =>
  kind === "insert" && relation.columns.every(({ key }) => !key);

function segmentOf(place: number, batch: readonly BatchSegment[]): BatchSegment {
  let before = 0;
  for (const segment of batch) {
    before += segment.changes.length;
    if (place < before) return segment;
  }
  throw new RangeError(`the batch has no change ${place}`);
}
