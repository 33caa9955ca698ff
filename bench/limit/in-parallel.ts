import type pg from "pg";
import type { EmbeddedServer } from "../../test/support/servers/embedded-server";

/** Work of one session. */
export type Task = (session: pg.Client) => Promise<void>;

/** Takes the next task; undefined if no task is left. */
export type NextTask = () => Promise<Task | undefined>;

/** Runs tasks in several sessions of a database. Each session takes the next task when it has none. */
export async function inParallel(
  server: EmbeddedServer,
  database: string,
  sessions: number,
  next: NextTask,
): Promise<void> {
  await Promise.all(
    Array.from({ length: sessions }, async () => {
      const session = await server.connect(database);
      try {
        for (let task = await next(); task; task = await next()) await task(session);
      } finally {
        await session.end();
      }
    }),
  );
}

/** The tasks of a list, in its order. */
export function oneByOne(tasks: readonly Task[]): NextTask {
  const left = [...tasks];
  return () => Promise.resolve(left.shift());
}
