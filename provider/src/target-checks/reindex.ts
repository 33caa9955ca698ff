import { qualify, type RelationName } from "../postgres/identifiers.js";

/** An index that is to be built again. */
export interface RebuiltIndex extends RelationName {
  /** Whether it belongs to an exclusion constraint. */
  readonly excludes: boolean;
}

/** The command that builds an index again, if possible while applications write. @param version of the server */
export function reindex({ schema, name, excludes }: RebuiltIndex, version: number): string {
  const concurrently = version >= 120000 && !excludes ? "CONCURRENTLY " : "";
  return `REINDEX INDEX ${concurrently}${qualify(schema, name)}`;
}
