import type { ClientBase } from "pg";

/** Runs in one transaction: an error rolls everything back, and no other session sees a part of it. */
export async function inTransaction<Result>(session: ClientBase, run: () => Promise<Result>): Promise<Result> {
  await session.query("BEGIN");
  try {
    const result = await run();
    await session.query("COMMIT");
    return result;
  } catch (error) {
    await session.query("ROLLBACK").catch(() => undefined);
    throw error;
  }
}
