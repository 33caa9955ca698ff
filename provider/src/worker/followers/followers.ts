import type { Client } from "pg";
import type { Follower } from "../../cdc/follower.js";
import type { FollowOptions } from "../../cdc/follow-options.js";
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
  /** Tables, qualified and quoted, that are being copied by now, or will be. */
  readonly skipped: () => readonly string[];
  /** Not called of one that was replaced before it ended. */
  readonly onEnded: (follower: EndedFollower) => void;
}

/** The followers of one database, each in the place of the one before. */
export class Followers {
  readonly #options: FollowersOptions;
  #current: Follower;
  /** How often the target's tables were altered here. */
  #alterations = 0;
  /** How often they had been when the follower began. */
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

  /** One that only passes what others than these tables need: whoever starts it learns how it ends. */
  bridge(skip: ReadonlySet<string>): Follower {
    return (this.#current = this.#options.follow({ skip }));
  }

  async restart(): Promise<void> {
    await this.#current.stop();
    this.start();
  }

  noteAlteration(): void {
    this.#alterations++;
  }

  /** Rests behind all that has committed on the source by now. @throws LockNotAvailableError, and whatever the follower has failed by */
  async drain(source: Client): Promise<void> {
    // Before the position is read: on a busy source a later commit would be in the batch at hand.
    await this.#current.hold();
    await this.#current.drainTo(await currentLsn(source));
  }

  /**
   * As {@link drain}, and once more by what the target has become since.
   *
   * @returns false when the stream has come to what the target cannot take yet
   */
  async catchUp(source: Client): Promise<boolean> {
    for (;;) {
      try {
        await this.drain(source);
        return true;
      } catch (error) {
        if (!isSchemaError(error)) throw error;
        if (this.#alterationsSeen === this.#alterations) return false;
        // The target has been altered since, perhaps for just that.
        await this.restart();
      }
    }
  }

  /** What a table's copy will bring, the stream must not: until the copy is complete its changes are left out. */
  #started(): Follower {
    const follower = this.#options.follow({ skip: new Set(this.#options.skipped()) });
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
