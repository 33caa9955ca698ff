import type { ClientBase } from "pg";

/** Runs in one transaction: what fails leaves nothing behind, and nobody sees a part of it. */
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
