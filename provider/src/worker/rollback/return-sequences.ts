import type { Client } from "pg";
import { carrySequences, type SequenceName } from "../../copy/sequences.js";
import { qualify } from "../../postgres/identifiers.js";

/** Sets the source's sequences to the target's values plus the margin. The source may lack sequences of the target. */
export async function carryBack(target: Client, source: Client, margin: number): Promise<void> {
  await carrySequences(target, source, { margin, only: await sequencesOf(source) });
}

/** Whether the source has a sequence. */
export async function sequencesOf(source: Client): Promise<(sequence: SequenceName) => boolean> {
  const { rows } = await source.query<SequenceName>(
    "SELECT n.nspname AS schema, c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'S'",
  );
  const names = new Set(rows.map(({ schema, name }) => qualify(schema, name)));
  return ({ schema, name }) => names.has(qualify(schema, name));
}
