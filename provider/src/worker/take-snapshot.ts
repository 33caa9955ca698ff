import { changeCaptureNames } from "../cdc/names.js";
import type { SlotIdentity } from "../cdc/progress.js";
import { createPublications } from "../cdc/publication.js";
import { createSlot, type SlotOptions } from "../cdc/slot.js";
import { Snapshot } from "../copy/snapshot.js";
import { connect } from "../postgres/connect.js";
import { listTables } from "../postgres/tables.js";
import { isCutRelation, readSelection } from "../schema/selection.js";
import type { Work } from "./work.js";

export interface CopyPoint {
  readonly snapshot: Snapshot;
  /** Online: the slot of which the stream begins at just this moment. */
  readonly slot: SlotIdentity | undefined;
  /** What the stream is asked for. */
  readonly publications: readonly string[];
}

/** The moment to copy: for an online migration the one at which its slot's stream begins. The caller releases it. */
export async function takeSnapshot(work: Work, database: string): Promise<CopyPoint> {
  const { source, wish, journal, signal } = work;
  if (wish.migrationMode === "Offline")
    return { snapshot: await Snapshot.export(source, database), slot: undefined, publications: [] };
  const names = changeCaptureNames(wish, database);
  await journal.database(database, {
    message: "creating publication and slot",
    slot: names.slot,
    publications: [names.publication, names.insertOnlyPublication],
  });
  const publications = await publish(work, database);
  const slot = await createSlot({
    source,
    database,
    slot: names.slot,
    plugin: "pgoutput",
    signal,
    onWaiting: sayOnce(work, database),
  });
  try {
    return { snapshot: await Snapshot.hold(source, database, slot.snapshotId), slot, publications };
  } finally {
    await slot.release();
  }
}

async function publish({ source, wish }: Work, database: string): Promise<readonly string[]> {
  const client = await connect(source, { database, purpose: `${wish.migrationName} publish` });
  try {
    const selection = await readSelection(client, wish);
    const tables = (await listTables(client)).filter(
      (table) => !table.extensionConfiguration && !isCutRelation(selection, table),
    );
    const names = changeCaptureNames(wish, database);
    return (await createPublications(client, names, tables, { keyless: wish.keylessTables })).publications;
  } finally {
    await client.end();
  }
}

/** Tells which sessions hold the slot up, again only when it is others. */
function sayOnce({ journal }: Work, database: string): NonNullable<SlotOptions["onWaiting"]> {
  let said = "";
  return (sessions) => {
    const names = sessions.map((one) =>
      one.pid === undefined ? `prepared ${one.preparedAs ?? ""}` : `session ${one.pid} (${one.applicationName ?? ""})`,
    );
    const message = `waiting for older transactions on the source: ${names.join(", ")}`;
    if (message === said) return;
    said = message;
    void journal.database(database, { message }).catch(() => undefined);
  };
}
