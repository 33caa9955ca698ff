import { createHash } from "node:crypto";

/** The migration and worker that opened a session. The start time distinguishes migrations of the same name. */
export interface SessionOwner {
  readonly migration: string;
  /** Start time of the migration, in the text format of the records. */
  readonly startedAt: string;
  readonly generation: number;
}

/** Suffix of a worker's session names. It is short because application_name has at most 63 bytes. */
export const ownerTag = (owner: SessionOwner): string => `${digestOf(owner)}.${owner.generation}`;

/** Suffix of the session names of a worker's copy helpers. These sessions may outlive the worker and end by themselves. */
export const helperName = (owner: SessionOwner): string => `${ownerTag(owner)}h`;

export const digestOf = ({ migration, startedAt }: SessionOwner): string =>
  createHash("sha256")
    .update(JSON.stringify([migration, startedAt]))
    .digest("hex")
    .slice(0, 8);
