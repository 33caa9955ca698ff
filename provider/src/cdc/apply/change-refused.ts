import { ContentDiffersError, messageOf } from "../../errors.js";
import pg from "pg";
import { formatLsn } from "../../postgres/lsn.js";
import { quoteIdentifier } from "../../postgres/identifiers.js";
import { sqlStates } from "../../postgres/sql-state.js";
import type { TableMapping } from "../binding/table-mapping.js";
import type { Change } from "../model/change.js";
import { describeRow } from "./describe-row.js";
import { requiresSourceOrder } from "./coalesce-failed.js";
import type { OrderedChange } from "../batch/coalesce.js";
import type { BatchSegment } from "../batch/transaction-buffer.js";
import type { StreamRoles } from "../model/stream-roles.js";
import { RowMissing } from "./row-missing.js";

/** The target has no row for a change, or refuses it. */
export class ChangeRefused extends ContentDiffersError {
  constructor(
    /** Qualified and quoted. */
    readonly table: string,
    ...details: ConstructorParameters<typeof ContentDiffersError>
  ) {
    super(...details);
  }
}

function changeRemedy({ change, binding }: OrderedChange, { stream }: StreamRoles, cause: unknown): string {
  if (stream === "way back")
    return "the source was written otherwise since the cutover: compare this row on both sides and put it right on the source; the way back then goes on";
  if (isInsertOnly(change, binding))
    return `the row in its way is one that the source has deleted or updated since, which the stream does not tell of a table without a key: on the source, ALTER TABLE ${binding.name} REPLICA IDENTITY FULL, or a primary key there; then go on, and it is copied anew`;
  if (isDomainViolation(cause)) {
    const [schema, domain] = [cause.schema ?? "public", cause.dataType!].map(quoteIdentifier);
    const dropped =
      cause.constraint === undefined ? "DROP NOT NULL" : `DROP CONSTRAINT ${quoteIdentifier(cause.constraint)}`;
    return (
      `the source has this value because its constraint is NOT VALID or calls a function that has changed. On the target: ` +
      `ALTER DOMAIN ${schema}.${domain} ${dropped}; pulumi up then resumes with this transaction. After the cutover, add the constraint again with NOT VALID`
    );
  }
  const putRight =
    cause instanceof RowMissing
      ? "compare this row on both sides and insert it there as the source has it"
      : "compare what is in its way on both sides and put it right there, such as by deleting a row that the source has not";
  return `somebody else has written to the target: ${putRight}; pulumi up then goes on with this transaction`;
}

/** A CHECK or NOT NULL of a domain: no other row is in the way, the value itself violates it. */
const isDomainViolation = (cause: unknown): cause is pg.DatabaseError =>
  cause instanceof pg.DatabaseError &&
  cause.dataType !== undefined &&
  (cause.code === sqlStates.checkViolation || cause.code === sqlStates.notNullViolation);

/** Names the transaction, the table and the row; what is only the session's trouble stays as it is. */
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
    `${change.kind.toUpperCase()} of ${describeRow(ordered)} in ${binding.name}, transaction ${transaction.xid} ` +
      `committed at ${lsn === undefined ? "an unknown position" : formatLsn(lsn)}, cannot be applied: ${messageOf(cause)}`,
    {
      remedy: changeRemedy(ordered, parts, cause),
      code: "603410",
      cause,
    },
  );
}

/** Of a table whose rows the stream tells apart by nothing, it has inserts only. */
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
