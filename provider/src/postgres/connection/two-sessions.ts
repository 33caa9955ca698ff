import type { Client } from "pg";

/** Runs with two sessions, mostly one per server. Opens both at the same time, and closes both, also if one cannot be opened. */
export async function withTwoSessions<Result>(
  openOne: () => Promise<Client>,
  openOther: () => Promise<Client>,
  run: (one: Client, other: Client) => Promise<Result>,
): Promise<Result> {
  const opening = [openOne(), openOther()] as const;
  const opened = await Promise.allSettled(opening);
  try {
    return await run(...(await Promise.all(opening)));
  } finally {
    await Promise.all(opened.flatMap((one) => (one.status === "fulfilled" ? [one.value.end()] : [])));
  }
}
