import type { Client } from "pg";
import type { Follower } from "../../cdc/follower.js";
import type { FollowOptions } from "../../cdc/follow-options.js";
import type { SkippedTables } from "../../cdc/decode/skip-tables.js";
import { currentLsn } from "../../cdc/source/lag.js";
import { isSchemaError } from "./schema-error.js";

export type StartFollower = (changes?: Partial<FollowOptions>) => Follower;

/** A follower that has ended before it was stopped. */
export interface EndedFollower {
  readonly error: unknown;
  /** Whether no other one has taken its place. */
  readonly isCurrent: () => boolean;
  /** Whether the target's tables were altered since it began. */
  readonly isTargetAltered: () => boolean;
}

export interface FollowersOptions {
  readonly follow: StartFollower;
  /** Tables that are copied now or later. */
  readonly skipped: () => SkippedTables;
  /** Called when a follower ends, unless it was replaced before. */
  readonly onEnded: (follower: EndedFollower) => void;
}

/** The followers of one database. Each one replaces the one before. */
export class Followers {
  readonly #options: FollowersOptions;
  #current: Follower;
  /** How often the worker altered the target's tables. */
  #alterations = 0;
  /** The value of `#alterations` when the current follower started. */
  #alterationsSeen = 0;

  constructor(options: FollowersOptions) {
    this.#options = options;
    this.#current = this.#started();
  }

  get current(): Follower {
    return this.#current;
  }

  start(): void {
    this.#current = this.#started();
  }

  /** Starts a follower that skips these tables. `onEnded` is not called for it. */
  bridge(skip: SkippedTables): Follower {
    return (this.#current = this.#options.follow({ skip }));
  }

  async restart(): Promise<void> {
    await this.#current.stop();
    this.start();
  }

  noteAlteration(): void {
    this.#alterations++;
  }

  /**
   * Applies everything committed on the source so far, and holds. Restarts the follower if the target was altered after it started:
   * the target may accept now what it has refused.
   *
   * @throws LockNotAvailableError, and the follower's error
   */
  async drain(source: Client): Promise<void> {
    for (;;) {
      try {
        // Held before the position is read: on a busy source a later commit would be in the current batch.
        await this.#current.hold();
        await this.#current.drainTo(await currentLsn(source));
        return;
      } catch (error) {
        if (!isSchemaError(error) || this.#alterationsSeen === this.#alterations) throw error;
        await this.restart();
      }
    }
  }

  /** Like {@link drain}. @returns false when the target refuses a change */
  async catchUp(source: Client): Promise<boolean> {
    try {
      await this.drain(source);
      return true;
    } catch (error) {
      if (!isSchemaError(error)) throw error;
      return false;
    }
  }

  /** Skips the tables that are being copied: the copy has their changes. */
  #started(): Follower {
    const follower = this.#options.follow({ skip: this.#options.skipped() });
    const alterations = this.#alterations;
    this.#alterationsSeen = alterations;
    const isCurrent = (): boolean => follower === this.#current;
    const isTargetAltered = (): boolean => alterations !== this.#alterations;
    follower.finished.catch((error: unknown) => {
      if (isCurrent()) this.#options.onEnded({ error, isCurrent, isTargetAltered });
    });
    return follower;
  }
}
