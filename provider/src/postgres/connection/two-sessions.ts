import type { Client } from "pg";

/** Runs with two sessions, mostly one per server. Closes both, also if the second cannot be opened. */
export async function withTwoSessions<Result>(
  openOne: () => Promise<Client>,
  openOther: () => Promise<Client>,
  run: (one: Client, other: Client) => Promise<Result>,
): Promise<Result> {
  const one = await openOne();
  try {
    const other = await openOther();
    try {
      return await run(one, other);
    } finally {
      await other.end();
    }
  } finally {
    await one.end();
  }
}
