import { qualify } from "../../postgres/identifiers.js";
import type { Relation, StreamMessage } from "../model/change.js";

/** Tables whose changes are ignored, because they are copied at a later LSN. Plain JSON: the worker of a lent stream gets it. */
export interface SkippedTables {
  /** Names that the tables have or had on the source, qualified and quoted. */
  readonly names: readonly string[];
  /** OIDs on the source. The stream may describe a table under another name than those above. */
  readonly oids: readonly number[];
  /**
   * OIDs of tables that are not copied again. The stream may contain their changes under a name that a skipped table has
   * taken since. These changes must never be ignored.
   */
  readonly kept: readonly number[];
}

/** Returns a function that replaces the changes of skipped tables. */
export function withoutTables({ names, oids, kept }: SkippedTables): (message: StreamMessage) => StreamMessage {
  const [skippedNames, skippedOids, keptOids] = [new Set(names), new Set(oids), new Set(kept)];
  const isWanted = ({ oid, schema, name }: Relation): boolean =>
    !skippedOids.has(oid) && (keptOids.has(oid) || !skippedNames.has(qualify(schema, name)));
  return (message) => {
    switch (message.kind) {
      case "insert":
      case "update":
      case "delete":
        return isWanted(message.relation) ? message : { kind: "ignored" };
      case "truncate": {
        const relations = message.relations.filter(isWanted);
        return relations.length > 0 ? { ...message, relations } : { kind: "ignored" };
      }
      default:
        return message;
    }
  };
}
