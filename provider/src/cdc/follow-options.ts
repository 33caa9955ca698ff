import type { Client } from "pg";
import type { Endpoint } from "../postgres/connection/endpoint.js";
import type { RelationName } from "../postgres/identifiers.js";
import type { Lsn } from "../postgres/lsn.js";
import type { Table } from "../postgres/tables.js";
import type { SkippedTables } from "./decode/skip-tables.js";
import type { ChangeCounts, TableCounts } from "./model/change-counts.js";
import type { Relation } from "./model/change.js";
import type { StreamRoles } from "./model/stream-roles.js";
import type { BacklogLimits } from "./reader/backlog-limits.js";
import type { OutputPlugin } from "./source/slot.js";

export interface FollowOptions {
  readonly source: Endpoint;
  readonly target: Endpoint;
  /** The source's database. */
  readonly database: string;
  readonly targetDatabase: string;
  readonly slot: string;
  /** From createPublications, not empty; ignored with test_decoding. */
  readonly publications: readonly string[];
  /** The slot's plugin; pgoutput by default. */
  readonly plugin?: OutputPlugin;
  /** The source's tables to replicate, for test_decoding, which has no publications; by default all tables. */
  readonly tables?: (source: Client) => Promise<readonly Table[]>;
  /** Requests values in text form. By default the values are binary if all types allow it. */
  readonly valueForm?: "text";
  readonly migration: string;
  /** Only the highest generation may write. */
  readonly generation: number;
  readonly signal?: AbortSignal;
  readonly onEvent?: (event: FollowEvent) => void;
  /** Called about once a second. */
  readonly onProgress?: (status: FollowStatus) => void;
  /**
   * How long to retry after a connection was lost, without progress in between; 600 by default. A stream that had applied
   * everything for a while counts as progress.
   */
  readonly reconnectForSeconds?: number;
  /** How long a server may be silent while an answer is due, before its connection counts as dead; 45 by default. */
  readonly silenceLimitSeconds?: number;
  /** The target's tables that may be written; by default all tables. */
  readonly writableTables?: (target: Client) => Promise<readonly Table[]>;
  /**
   * How the target names a table of the stream, read at each connection; by default as the source does. Not for
   * test_decoding.
   */
  readonly targetNames?: (target: Client) => Promise<(relation: Relation) => RelationName>;
  /**
   * Whether a relation is another table, or has other columns, than the target's under the same names; by default none is.
   * The target's tables are given by name, qualified and quoted.
   */
  readonly isExchanged?: (relation: Relation, targetTables: ReadonlyMap<string, Table>) => boolean;
  readonly skip?: SkippedTables;
  /** When and how a backlog is read in portions. Only tests change it. */
  readonly backlog?: Partial<BacklogLimits>;
  /**
   * How many sessions apply a backlog; it may change while the follower runs. 1 preserves the source's transactions on the
   * target. By default up to 4, if the target has enough free connections.
   */
  readonly applySessions?: () => number | undefined;
  /** The number of waiting changes from which on several sessions apply them. Only tests change it. */
  readonly parallelFromChanges?: number | undefined;
  /** The target has no triggers and no foreign keys yet, and its role may not set session_replication_role. */
  readonly triggersDisabled?: boolean;
  /** The servers' names in messages; by default those of a migration. */
  readonly parts?: StreamRoles;
  /** The source database's search_path, for functions of its checks and generated columns; by default empty. */
  readonly searchPath?: string;
}

export type FollowEvent =
  | { readonly kind: "streaming"; readonly from: string }
  /** The backlog is large, so that it is read in portions. `refused` is the reason if the source does not allow that. */
  | { readonly kind: "backlog"; readonly bytes: number; readonly refused: string | undefined }
  | { readonly kind: "connectionLost"; readonly reason: string; readonly retryInMs: number }
  /** A transaction changes more tables than the target can lock. Repeated only after another event. */
  | { readonly kind: "lockTableFull"; readonly reason: string; readonly remedy: string }
  | { readonly kind: "orderedBatch"; readonly reason: string }
  /** Several sessions apply a backlog. */
  | { readonly kind: "parallel"; readonly sessions: number }
  /** One session applies the backlog, because several could not be opened, or could not apply it. */
  | { readonly kind: "parallelRefused"; readonly reason: string }
  /** A batch waits for a lock on the target. */
  | { readonly kind: "blocked"; readonly by: string };

export type FollowState = "connecting" | "streaming" | "held" | "reconnecting" | "stopped" | "failed";

export interface FollowStatus extends ChangeCounts {
  readonly state: FollowState;
  readonly receivedLsn: Lsn | undefined;
  readonly appliedLsn: Lsn | undefined;
  /** The source may forget everything that committed before this LSN. */
  readonly confirmedLsn: Lsn | undefined;
  readonly sourceLsn: Lsn | undefined;
  /** WAL of the source, including other databases, after the applied position. */
  readonly lagBytes: number | undefined;
  /**
   * The larger of two values; 0 if neither exists:
   *
   * - the age, by the source's clock, of the oldest commit that is received and not applied
   * - the time for which the source has had WAL that the stream has not reached
   */
  readonly latencySeconds: number;
  /**
   * Whether this connection has received the WAL up to the end that it found at its start. Before that, the age of the WAL
   * that is not received is unknown, and `latencySeconds` is too small.
   */
  readonly isLagMeasured: boolean;
  /** The applied changes of each table, as a map that changes while the stream runs. */
  readonly tables: TableCounts;
  readonly pendingTransactions: number;
  readonly incomingChanges: number;
  readonly appliedChanges: number;
  /** Batches that had to be applied change by change. */
  readonly orderedBatches: number;
  /** The number of sessions that apply changes: 1 without a backlog. */
  readonly applySessions: number;
  /** Batches that several sessions applied. */
  readonly parallelBatches: number;
}
