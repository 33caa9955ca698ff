import type { Client } from "pg";
import type { RelationName } from "../identifiers.js";
import { refuseViews } from "../planner-functions.js";
import { inTransaction } from "../transaction.js";
import { lockRelations } from "./lock-relations.js";

/**
 * Runs in a transaction in which the owners of relations cannot replace them by views. A query on such a view would run
 * functions of its owner.
 *
 * @param session outside a transaction
 * @throws ConcurrentChangeError if one is not of the expected kind
 */
export const whileLocked = <Result>(
  session: Client,
  relations: readonly RelationName[],
  expected: "table" | "sequence",
  run: () => Promise<Result>,
): Promise<Result> =>
  inTransaction(session, async () => {
    await refuseViews(session, "transaction");
    await lockRelations(session, relations, expected);
    return run();
  });
