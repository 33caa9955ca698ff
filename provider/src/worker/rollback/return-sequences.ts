import type { Client } from "pg";
import { carrySequences, type SequenceName } from "../../copy/sequences.js";
import { qualify, relationKey } from "../../postgres/identifiers.js";
import { type Filters, readSelection } from "../../schema/plan/selection.js";

/** Sets the source's sequences to the target's values plus the margin. The source may lack sequences of the target. */
export async function carryBack(target: Client, source: Client, filters: Filters, margin: number): Promise<void> {
  await carrySequences(target, source, { margin, only: await sequencesOf(source, filters) });
}

/** Whether the source has a sequence that the filters do not exclude. */
export async function sequencesOf(source: Client, filters: Filters): Promise<(sequence: SequenceName) => boolean> {
  const { rows } = await source.query<SequenceName>(
    "SELECT n.nspname AS schema, c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'S'",
  );
  const names = new Set(rows.map(({ schema, name }) => qualify(schema, name)));
  const { cutSequences } = await readSelection(source, filters);
  return (sequence) => names.has(qualify(sequence.schema, sequence.name)) && !cutSequences.has(relationKey(sequence));
}
