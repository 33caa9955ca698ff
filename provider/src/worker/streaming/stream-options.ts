import type { FollowOptions } from "../../cdc/follow-options.js";
import { changeCaptureNames } from "../../cdc/model/names.js";
import { targetDatabase } from "../../inputs/target-database.js";
import { tablesInScope } from "../context/tables-in-scope.js";
import type { Work } from "../context/work.js";
import type { StreamState } from "../followers/stream-state.js";
import { isCopyOfOther } from "../schema-diff/followed-tables.js";
import { describesOther } from "../schema-sync/transient-schema-change.js";

/** What a stream needs, in the worker of the migration and in one to which the stream is lent. */
export function streamOptions(
  work: Pick<Work, "spec" | "source" | "target" | "signal">,
  database: string,
  following: () => StreamState,
): Omit<FollowOptions, "generation"> {
  const { spec, source, target, signal } = work;
  const { publications, plugin, keptBack, sourceSearchPath } = following();
  return {
    ...{ source, target, database, signal, publications, plugin },
    targetDatabase: targetDatabase(spec, database),
    slot: changeCaptureNames(spec, database).slot,
    tables: (session) => tablesInScope(session, spec),
    triggersDisabled: keptBack !== undefined,
    searchPath: sourceSearchPath,
    migration: spec.migrationName,
    reconnectForSeconds: spec.reconnectFor,
    applySessions: () => work.spec.applySessions,
    isExchanged: (relation, targetTables) => {
      const { mark, followed = {} } = following();
      return describesOther(relation, mark) || isCopyOfOther(followed, relation, targetTables);
    },
  };
}
