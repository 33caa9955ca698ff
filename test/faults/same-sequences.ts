import assert from "node:assert/strict";
import type { Place } from "../support/content";

/** Fails unless the sequences of both databases would return the same values. */
export async function assertSameSequences(source: Place, target: Place): Promise<void> {
  const [expected, actual] = await Promise.all([sequences(source), sequences(target)]);
  assert.deepEqual(actual, expected);
}

async function sequences({ server, database, login }: Place): Promise<Record<string, unknown>> {
  const place = { database, ...(login ? { login } : {}) };
  const rows = await server.query<{ name: string }>(
    "SELECT oid::regclass::text AS name FROM pg_class WHERE relkind = 'S' AND relnamespace = 'public'::regnamespace ORDER BY 1",
    place,
  );
  const state = async (name: string): Promise<unknown> =>
    (await server.query(`SELECT last_value, is_called FROM ${name}`, place))[0];
  return Object.fromEntries(await Promise.all(rows.map(async ({ name }) => [name, await state(name)] as const)));
}
