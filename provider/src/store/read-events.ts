import type { Store } from "./store.js";

export interface EventRecord {
  /** Increases with each event. */
  readonly id: number;
  readonly at: string;
  readonly database: string | undefined;
  readonly level: "info" | "warning" | "error";
  readonly message: string;
}

export interface EventRange {
  /** Only events after this one. */
  readonly after?: number;
  /** Maximum number of events: the latest ones. */
  readonly most?: number;
}

/** Events recorded by workers, oldest first. */
export async function readEvents(store: Store, migration: string, range: EventRange = {}): Promise<EventRecord[]> {
  const rows = await store.query<{
    id: string;
    at: Date;
    database: string | null;
    level: EventRecord["level"];
    message: string;
  }>(
    `SELECT id, at, database, level, message FROM pgmigration.event
      WHERE migration = $1 AND id > $2 ORDER BY id DESC LIMIT $3`,
    [migration, range.after ?? 0, range.most ?? null],
  );
  return rows.reverse().map((row) => ({
    id: Number(row.id),
    at: row.at.toISOString(),
    database: row.database ?? undefined,
    level: row.level,
    message: row.message,
  }));
}
