import type { ServerResponse } from "node:http";

/** Browsers reconnect by themselves and then receive a snapshot. */
const stalledAfterMs = 30_000;

/**
 * Server-sent events to one page. At most one message waits for a slow page: it misses the changes until it has read that
 * message, and then needs a new snapshot.
 */
export class EventStream {
  /** False until the page has received a snapshot, and after it missed a change. */
  isUpToDate = false;
  #blockedSinceMs: number | undefined;

  constructor(
    readonly response: ServerResponse,
    /** The migration that the page shows; undefined for the list. */
    readonly migration: string | undefined,
  ) {
    response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
    response.flushHeaders();
    response.on("drain", () => (this.#blockedSinceMs = undefined));
  }

  get needsSnapshot(): boolean {
    return !this.isUpToDate && this.#blockedSinceMs === undefined;
  }

  sendSnapshot(content: Buffer): void {
    this.isUpToDate = true;
    this.#write(content);
  }

  sendChange(content: Buffer): void {
    if (this.#blockedSinceMs === undefined) this.#write(content);
    else this.isUpToDate = false;
  }

  /** Closes a stream whose page has stopped reading. */
  closeIfStalled(): void {
    if (this.#blockedSinceMs !== undefined && Date.now() - this.#blockedSinceMs > stalledAfterMs)
      this.response.destroy();
  }

  #write(content: Buffer): void {
    if (!this.response.write(content)) this.#blockedSinceMs = Date.now();
  }
}
