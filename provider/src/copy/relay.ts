import { DatabaseError, type Client } from "pg";
import { EngineFault, Refused, Unreachable, messageOf } from "../errors.js";
import { cancellation } from "./cancellation.js";
import { CopyFrames } from "./copy-frames.js";
import { CopyStatement, type CopyOutcome } from "./copy-statement.js";

export interface Relay {
  /** What is copied, for messages: a table's qualified name. */
  readonly what: string;
  readonly source: Client;
  readonly target: Client;
  /** `COPY ... TO STDOUT` on the source. */
  readonly copyOut: string;
  /** `COPY ... FROM STDIN` on the target, in the same format and with the same columns. */
  readonly copyIn: string;
  /** Told after every chunk what has been read so far, CopyData headers included. */
  readonly onProgress?: ((bytes: number, rows: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface Relayed {
  readonly rows: number;
  readonly bytes: number;
}

type Failed = Extract<CopyOutcome, { ended: "failed" }>;
type End =
  | { readonly of: "source" | "target"; readonly outcome: CopyOutcome }
  | { readonly of: "signal"; readonly error: Error };

/** How many bytes may wait for the target before the source is paused. */
const mostWaitingBytes = 1 << 20;

/**
 * Copies what one server's COPY TO gives into another server's COPY FROM. CopyData messages are the same in both
 * directions, so they go from socket to socket in the chunks in which they arrive; memory stays below a few megabytes
 * whatever a row's size. However it ends, both clients can be used again unless their connection is lost; after a
 * failure a transaction on either side has to be rolled back.
 *
 * @throws Refused when either server refuses: its message, detail and context
 * @throws Unreachable when either connection breaks
 * @throws the error that the signal was aborted with, or Canceled
 * @throws EngineFault when the numbers of rows sent, received and stored differ
 */
export async function relayCopy(relay: Relay): Promise<Relayed> {
  const { what, source, target, copyOut, copyIn, signal } = relay;
  if (signal?.aborted) throw cancellation(`copying ${what}`, signal);
  const into = CopyStatement.from(target, copyIn);
  if ((await into.begun) === undefined) throw failure(what, "target", asFailed(await into.outcome));

  const flow = new Flow(into, relay.onProgress);
  const out = CopyStatement.to(source, copyOut, flow.reader);
  flow.source = out;
  const aborted = abortion(what, signal);
  try {
    const first = await Promise.race([endOf("source", out), endOf("target", into), aborted.promise]);
    if (first.of !== "source" || first.outcome.ended === "failed") flow.stop();
    if (first.of === "signal") {
      await Promise.all([out.cancel(), into.fail("the copy was canceled")]);
      throw first.error;
    }
    if (first.of === "target") {
      await out.cancel();
      throw failure(what, "target", asFailed(first.outcome));
    }
    if (first.outcome.ended === "failed") {
      await into.fail("the source failed");
      throw failure(what, "source", first.outcome);
    }
    into.finish();
    const last = await Promise.race([endOf("target", into), aborted.promise]);
    if (last.of === "signal") {
      await into.cancel();
      throw last.error;
    }
    if (last.outcome.ended === "failed") throw failure(what, "target", last.outcome);
    // One CopyData message ends the data in binary format (manual, "Binary Format", file trailer).
    const received = flow.frames.count - ((await out.begun) === true ? 1 : 0);
    checkCounts(what, { sent: first.outcome.rows, received, stored: last.outcome.rows });
    return { rows: received, bytes: flow.bytes };
  } finally {
    aborted.forget();
  }
}

/** Bytes on their way: read from the source, written to the target, the source paused while too many wait. */
class Flow {
  bytes = 0;
  source: CopyStatement | undefined;
  readonly frames: CopyFrames;
  readonly reader: (toParser: (bytes: Buffer) => void) => (chunk: Buffer) => void;
  readonly #target: CopyStatement;
  #stopped = false;
  #toParser: (bytes: Buffer) => void = () => undefined;

  constructor(target: CopyStatement, onProgress: Relay["onProgress"]) {
    this.#target = target;
    this.frames = new CopyFrames({
      copyData: (bytes) => {
        this.bytes += bytes.length;
        if (!this.#stopped && target.write(bytes) > mostWaitingBytes) this.source?.pause();
        onProgress?.(this.bytes, this.frames.count);
      },
      other: (bytes) => this.#toParser(bytes),
    });
    this.reader = (toParser) => {
      this.#toParser = toParser;
      return (chunk) => this.frames.push(chunk);
    };
    target.onDrain(() => this.source?.resume());
  }

  /** What still arrives is read and dropped: the target gets no more, though the message that it is in has to end. */
  stop(): void {
    this.#stopped = true;
    this.#target.pad(this.frames.lackingBytes);
  }
}

async function endOf(side: "source" | "target", statement: CopyStatement): Promise<Exclude<End, { of: "signal" }>> {
  return { of: side, outcome: await statement.outcome };
}

type Abortion = Extract<End, { of: "signal" }>;

function abortion(what: string, signal: AbortSignal | undefined): { promise: Promise<Abortion>; forget: () => void } {
  if (!signal) return { promise: new Promise(() => undefined), forget: () => undefined };
  let onAbort = (): void => undefined;
  const promise = new Promise<Abortion>((resolve) => {
    onAbort = () => resolve({ of: "signal", error: cancellation(`copying ${what}`, signal) });
  });
  if (signal.aborted) onAbort();
  signal.addEventListener("abort", onAbort);
  return { promise, forget: () => signal.removeEventListener("abort", onAbort) };
}

function asFailed(outcome: CopyOutcome): Failed {
  if (outcome.ended === "failed") return outcome;
  return { ended: "failed", error: new EngineFault("a COPY FROM ended by itself"), connectionLost: false };
}

function failure(what: string, side: "source" | "target", { error, connectionLost }: Failed): Error {
  if (error instanceof EngineFault) return error;
  const said = describe(error);
  if (connectionLost)
    return new Unreachable(`copying ${what} stopped: the ${side}'s connection broke: ${said}`, {
      remedy: `see the ${side}'s log if it happens again`,
      cause: error,
    });
  return new Refused(`copying ${what} stopped: the ${side} refused: ${said}`, {
    remedy:
      side === "source"
        ? "make sure that the role can read every row of this table, then start again"
        : "correct the row on the source, or the table's definition on the target, then start again",
    cause: error,
  });
}

function describe(error: Error): string {
  if (!(error instanceof DatabaseError)) return messageOf(error);
  const { code, where, hint } = error;
  // DETAIL shows rows, and CONTEXT the value behind the line and column: people's data has no place in a message.
  const place = where?.split(/: "|\n/)[0];
  const parts = [`${error.message} (SQLSTATE ${code ?? "unknown"})`, place, hint];
  return parts.filter((part) => part !== undefined && part !== "").join("; ");
}

function checkCounts(what: string, rows: { sent: number; received: number; stored: number }): void {
  if (rows.sent === rows.received && rows.received === rows.stored) return;
  throw new EngineFault(
    `copying ${what}: the source sent ${rows.sent} rows, ${rows.received} were received and the target stored ${rows.stored}`,
    { remedy: "look for a rule or a trigger on the target's table that drops rows" },
  );
}
