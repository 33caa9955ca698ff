import type { Client } from "pg";
import type { Endpoint } from "../postgres/connection/endpoint.js";
import type { Lsn } from "../postgres/lsn.js";
import type { Table } from "../postgres/tables.js";
import type { ChangeCounts } from "./model/change-counts.js";
import type { StreamRoles } from "./model/stream-roles.js";
import type { BacklogLimits } from "./reader/backlog-reader.js";
import type { OutputPlugin } from "./source/slot.js";

export interface FollowOptions {
  readonly source: Endpoint;
  readonly target: Endpoint;
  /** On the source. */
  readonly database: string;
  readonly targetDatabase: string;
  readonly slot: string;
  /** From createPublications, not empty; of no meaning to test_decoding. */
  readonly publications: readonly string[];
  /** The slot's; pgoutput by default. */
  readonly plugin?: OutputPlugin;
  /** For test_decoding, which knows no publications: the source's tables to follow, all by default. */
  readonly tables?: (source: Client) => Promise<readonly Table[]>;
  /** Text keeps pgoutput from sending values in binary form, which it does where every type allows. */
  readonly valueForm?: "text";
  readonly migration: string;
  /** Only the highest generation that ever followed may write. */
  readonly generation: number;
  readonly signal?: AbortSignal;
  readonly onEvent?: (event: FollowEvent) => void;
  /** Called about once a second. */
  readonly onProgress?: (status: FollowStatus) => void;
  /**
   * How long to try again after the loss of a connection, without any progress in between. Ten minutes by default. A
   * stream that had nothing left to apply for a while has come as far as it could.
   */
  readonly reconnectForSeconds?: number;
  /** How long a server may be silent where an answer is due, before its connection is taken for dead. 45 by default. */
  readonly silenceLimitSeconds?: number;
  /** Tables, qualified and quoted, whose changes are left out: they are about to be copied, at a later point. */
  readonly skip?: ReadonlySet<string>;
  /** When and how a backlog is read in portions; otherwise than by default in tests only. */
  readonly backlog?: Partial<BacklogLimits>;
  /** The target has no triggers and no foreign keys yet, and its role may not keep them from firing. */
  readonly triggersDisabled?: boolean;
  /** As messages name the servers; a migration's by default. */
  readonly parts?: StreamRoles;
  /** Of the database at home, under which the functions of its checks and generated columns run; none unless told. */
  readonly searchPath?: string;
}

export type FollowEvent =
  | { readonly kind: "streaming"; readonly from: string }
  /** So much WAL waits that the stream begins by reading it in portions; or does not, since the source refuses that. */
  | { readonly kind: "backlog"; readonly bytes: number; readonly refused: string | undefined }
  | { readonly kind: "connectionLost"; readonly reason: string; readonly retryInMs: number }
  /** A transaction changes more tables than the target can lock at a time; told once for as long as nothing else is. */
  | { readonly kind: "lockTableFull"; readonly reason: string; readonly remedy: string }
  | { readonly kind: "orderedBatch"; readonly reason: string }
  /** A batch waits for a lock on the target. */
  | { readonly kind: "blocked"; readonly by: string };

export type FollowState = "connecting" | "streaming" | "held" | "reconnecting" | "stopped" | "failed";

export interface FollowStatus extends ChangeCounts {
  readonly state: FollowState;
  readonly receivedLsn: Lsn | undefined;
  readonly appliedLsn: Lsn | undefined;
  /** What the source may forget. */
  readonly confirmedLsn: Lsn | undefined;
  readonly sourceLsn: Lsn | undefined;
  /** WAL of the source, of whatever database, written beyond what is applied. */
  readonly lagBytes: number | undefined;
  /**
   * The age, by the source's clock, of the oldest commit that is received and not applied; or, where that is longer, for how
   * long there has been WAL that the stream has not come to. 0 when there is neither.
   */
  readonly latencySeconds: number;
  readonly pendingTransactions: number;
  readonly incomingChanges: number;
  readonly appliedChanges: number;
  /** Batches that had to be applied change by change. */
  readonly orderedBatches: number;
}
