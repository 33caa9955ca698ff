import type { Client } from "pg";
import { withTimeout } from "../async/with-timeout.js";
import type { Inputs } from "../inputs/inputs.js";
import { copyAgain } from "../cdc/source/slot-identity.js";
import { changeCaptureNames } from "../cdc/model/names.js";
import { inspectSlot } from "../cdc/source/slot-state.js";
import { withSession } from "../postgres/connection/with-session.js";
import type { MigrationState } from "../status.js";
import { readDatabases, type DatabasePhase, type DatabaseRecord } from "../store/records.js";
import type { Store } from "../store/store.js";

/** A recorded slot, as the source has it. */
export interface SourceObjects {
  readonly database: string;
  readonly phase: DatabasePhase;
  readonly slot: string;
  /** Which objects a replicated database lacks on the source, and what to do about it; undefined if it has all of them. */
  readonly loss: string | undefined;
  /** WAL that the source keeps because of the slot; undefined if it keeps none. */
  readonly retainedBytes: number | undefined;
}

/** Time limit, because previews wait for it. */
const lookWithinMs = 4000;

/** Reads the recorded slots on the source; without those of a source that does not answer in time. */
export async function readSourceObjects(
  store: Store,
  inputs: Inputs,
  state: MigrationState,
): Promise<readonly SourceObjects[]> {
  if (inputs.migrationMode !== "Online" || state === "Succeeded" || state === "Canceled") return [];
  const databases = await readDatabases(store, inputs.migrationName);
  const found = databases.map(async (database) => {
    const { name, phase, slot } = database;
    if (slot === undefined) return phase === "following" ? erasedObjects({ name, phase }, inputs) : undefined;
    return withTimeout(objectsOf(inputs, { ...database, slot }), lookWithinMs).catch(() => undefined);
  });
  return (await Promise.all(found)).flatMap((objects) => objects ?? []);
}

/** A destroy that was interrupted has removed what a replicated database needs on the source. */
const erasedObjects = ({ name, phase }: Pick<DatabaseRecord, "name" | "phase">, inputs: Inputs): SourceObjects => {
  const { slot } = changeCaptureNames(inputs, name);
  return { database: name, phase, slot, loss: describeLoss([`the slot ${slot}`]), retainedBytes: undefined };
};

async function objectsOf(
  { source, migrationName }: Inputs,
  { name, phase, slot, publications }: DatabaseRecord & { readonly slot: string },
): Promise<SourceObjects> {
  const options = { database: name, purpose: `${migrationName} drift`, bookkeeping: true };
  const { state, missing } = await withSession(source, options, async (session) => ({
    state: await inspectSlot(session, slot),
    missing: publications.length === 0 ? [] : await missingPublications(session, publications),
  }));
  const lost = [
    ...(state ? [] : [`the slot ${slot}`]),
    ...missing.map((publication) => `the publication ${publication}`),
  ];
  const loss = phase === "following" && lost.length > 0 ? describeLoss(lost) : undefined;
  return { database: name, phase, slot, loss, retainedBytes: state?.retainedBytes };
}

async function missingPublications(session: Client, publications: readonly string[]): Promise<string[]> {
  const { rows } = await session.query<{ name: string }>(
    `SELECT wanted AS name FROM unnest($1::text[]) AS wanted
      WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_publication WHERE pubname = wanted)`,
    [publications],
  );
  return rows.map(({ name }) => name);
}

const describeLoss = (lost: readonly string[]): string =>
  `${lost.join(" and ")} ${lost.length > 1 ? "are" : "is"} missing on the source, so changes made since then are lost. To do: ${copyAgain}`;
