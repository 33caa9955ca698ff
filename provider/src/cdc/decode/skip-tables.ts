import { qualify } from "../../postgres/identifiers.js";
import type { Relation, StreamMessage } from "../model/change.js";

/** @param skip tables, qualified and quoted, whose changes are ignored */
export function withoutTables(skip: ReadonlySet<string>, message: StreamMessage): StreamMessage {
  if (skip.size === 0) return message;
  const isWanted = ({ schema, name }: Relation): boolean => !skip.has(qualify(schema, name));
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
}
