import { RefusedError } from "../../errors.js";
import { specOf, type Inputs } from "../../inputs/inputs.js";
import { withSession } from "../../postgres/connection/with-session.js";
import { transferOwnership, type RecordOwner } from "../../store/record-owner.js";
import { readMigration, type MigrationRecord } from "../../store/records.js";
import type { Store } from "../../store/store.js";
import type { Report } from "../../supervisor/supervise-worker.js";
import { applyInputs, haveSameMembers, refuseOther } from "../apply-inputs.js";
import { differingCopyInputs } from "../../inputs/copy-inputs.js";
import { differingIdentity } from "./identity.js";
import { describeOwner, isInterruptedCreate, mayTakeOver } from "./ownership.js";

/**
 * Adopts an existing record on the target for a new resource.
 *
 * @throws RefusedError when the record has ended, belongs to another owner, or belongs to another migration
 * @throws RefusedError, UnreachableError when the source refuses these inputs
 */
export async function adoptRecord(store: Store, inputs: Inputs, owner: RecordOwner, note: Report): Promise<void> {
  const record = await readMigration(store, inputs.migrationName);
  if (record) refuseUnadoptable(record, inputs, owner);
  if (record && !isFinished(record)) await trySource(inputs);
  await applyInputs(store, inputs);
  await transferOwnership(store, inputs.migrationName, owner);
  if (record) note(adopted(record));
}

/** The running worker has its own session, so that a wrong password would show only at its next reconnect. */
const trySource = ({ source, dbsToMigrate: [database], migrationName }: Inputs): Promise<void> =>
  database === undefined
    ? Promise.resolve()
    : withSession(source, { database, purpose: `${migrationName} adopt` }, () => Promise.resolve());

function refuseUnadoptable(record: MigrationRecord, inputs: Inputs, owner: RecordOwner): void {
  const foreign = differingIdentity(record.spec, specOf(inputs));
  if (foreign.length > 0) throw refuseOther(inputs, foreign);
  const otherDatabases = !haveSameMembers(record.spec.dbsToMigrate, inputs.dbsToMigrate);
  if (otherDatabases && record.state !== "ValidationFailed") throw refuseOther(inputs, ["dbsToMigrate"]);
  // A migration that has succeeded copies nothing again: its result must be what these inputs ask for.
  const otherContent = record.state === "Succeeded" ? differingCopyInputs(record.spec, specOf(inputs)) : [];
  if (otherContent.length > 0) throw refuseOther(inputs, otherContent);
  if (inputs.onExistingRecord === "adopt") return;
  if (isFinished(record) && !isInterruptedCreate(record.owner, owner)) throw refuseEnded(record, inputs);
  if (!mayTakeOver(record.owner, owner)) throw refuseOwned(record, inputs);
}

/** A failed migration has not finished: another attempt continues it. */
const isFinished = ({ state }: MigrationRecord): boolean => state === "Succeeded" || state === "Canceled";

const began = ({ owner, startedOn }: MigrationRecord): string =>
  `that ${describeOwner(owner)} began at ${startedOn.toISOString()}`;

function adopted(record: MigrationRecord): string {
  const { name, state, endedOn } = record;
  const line = `adopted the migration ${name} ${began(record)}`;
  if (!isFinished(record)) return line;
  const ended = `it ended as ${state}${endedOn ? ` at ${endedOn.toISOString()}` : ""}`;
  return state === "Succeeded" ? `${line}; ${ended}, and nothing is copied again` : `${line}; ${ended}`;
}

const refuseEnded = (record: MigrationRecord, { target }: Inputs): RefusedError =>
  new RefusedError(
    `the migration ${record.name} ${began(record)} has ended (${record.state}) on ${target.host}:${target.port}, so nothing would be copied`,
    {
      remedy:
        `set another migrationName; set onExistingRecord to restart, which migrates again, or to adopt, which keeps the result; ` +
        `or remove its record: pg-migration delete --name ${record.name}`,
    },
  );

const refuseOwned = (record: MigrationRecord, { target }: Inputs): RefusedError =>
  new RefusedError(
    `the migration ${record.name} on ${target.host}:${target.port} belongs to ${describeOwner(record.owner)}, and is ${record.state}`,
    {
      remedy:
        "set another migrationName, or continue that migration with its owner (pulumi up there, or pg-migration update); " +
        "if its state is lost, set onExistingRecord to adopt",
    },
  );
