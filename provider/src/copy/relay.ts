import { DatabaseError, type Client } from "pg";
import { EngineError, RefusedError, UnreachableError, messageOf } from "../errors.js";
import { watchOf } from "../postgres/connection/session-watch.js";
import { sqlStateOf, sqlStates } from "../postgres/sql-state.js";
import { cancellation } from "./cancellation.js";
import { CopyFrames } from "./copy-frames.js";
import type { CopyRate } from "./copy-rate.js";
import { CopyStatement, type CopyDone, type CopyOutcome } from "./copy-statement.js";

/** One COPY from one server to the other. */
export interface CopyPair {
  /** Name for messages: the table's qualified name. */
  readonly what: string;
  /** `COPY ... TO STDOUT` on the source. */
  readonly copyOut: string;
  /** `COPY ... FROM STDIN` on the target, with the same format and columns. */
  readonly copyIn: string;
  /** An SQL statement without result rows that the target runs before the COPY. */
  readonly before?: string | undefined;
}

interface Ends {
  readonly source: Client;
  readonly target: Client;
  /** Called after each chunk with the total bytes, CopyData headers included, and rows. */
  readonly onProgress?: ((bytes: number, rows: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Limits reading from the source, together with other copies. */
  readonly rate?: CopyRate | undefined;
}

export type Relay = Ends & CopyPair;

/** Several COPYs in the order of their execution, at least one. */
export interface Relays extends Ends {
  readonly copies: readonly CopyPair[];
  /** Called with the position of the failed copy before its error is thrown. */
  readonly onFailed?: ((position: number) => void) | undefined;
  /** Runs while the target stores the last rows, with the amounts that were sent. */
  readonly onSent?: ((relayed: readonly Relayed[]) => Promise<void>) | undefined;
}

export interface Relayed {
  readonly rows: number;
  readonly bytes: number;
}

type Failed = Extract<CopyOutcome, { ended: "failed" }>;
type End =
  | { readonly of: "source" | "target"; readonly outcome: CopyOutcome }
  | { readonly of: "signal"; readonly error: Error };

/** The source is paused when more bytes than this wait for the target. */
const maxWaitingBytes = 1 << 20;

/** Copies the output of one server's COPY TO into another server's COPY FROM. See {@link relayCopies}. */
export async function relayCopy({
  source,
  target,
  onProgress,
  onSent,
  signal,
  rate,
  ...copy
}: Relay & Pick<Relays, "onSent">): Promise<Relayed> {
  const [relayed] = await relayCopies({ source, target, onProgress, onSent, signal, rate, copies: [copy] });
  return relayed!;
}

/**
 * Copies the output of one server's COPYs into another server's. Each side gets all COPYs in one query, so that they
 * take a single round trip. CopyData messages have the same format in both directions, so that chunks are passed from
 * socket to socket. Memory stays below a few megabytes, independent of the size of rows.
 *
 * Afterwards both clients can be used again unless their connection is lost. After a failure the caller has to roll
 * back transactions on both servers.
 *
 * @throws RefusedError when either server refuses, with its message, its context, and the copy
 * @throws UnreachableError when either connection breaks
 * @throws the signal's reason, or CanceledError
 * @throws EngineError when the numbers of rows sent, received and stored differ
 * @throws the error of `onSent`
 */
export async function relayCopies({
  source,
  target,
  copies,
  onProgress,
  onFailed,
  onSent,
  signal,
  rate,
}: Relays): Promise<Relayed[]> {
  const all = [copies[0], ...copies.slice(1).slice(-1)].map((copy) => copy!.what).join(" to ");
  const failure = (side: "source" | "target", failed: Failed): Error => {
    const position = Math.min(failed.copiesBefore, copies.length - 1);
    onFailed?.(position);
    return failureOf(copies[position]!.what, side, failed);
  };
  // A copy that read its last chunk before the limit allowed it has ended. The next one waits instead.
  await rate?.pace(0, signal);
  if (signal?.aborted) throw cancellation(`copying ${all}`, signal);
  const into = CopyStatement.from(
    target,
    copies.flatMap(({ before, copyIn }) => (before === undefined ? [copyIn] : [before, copyIn])).join("; "),
  );
  const sending: Sending = { isFinished: false, messages: () => 0 };
  watchTarget(target, into, sending);
  if (!into.isSubmitted) throw failure("target", asFailed(await into.outcome));

  // The source starts at once, because a round trip takes longer than a small table. The target reads rows that arrive before its
  // COPY starts. If it refuses the COPY, it ignores them (manual, "COPY Operations").
  const flow = new Flow(into, copies.length, { onProgress, rate });
  sending.messages = () => flow.messagesPassed;
  const out = CopyStatement.to(source, copies.map(({ copyOut }) => copyOut).join("; "), flow.reader);
  watchSource(source, out);
  flow.readFrom(out);
  const aborted = abortion(all, signal);
  const transfer = { out, into, flow, aborted: aborted.promise, failure };
  try {
    const sent = await untilSent(transfer);
    into.finish();
    sending.isFinished = true;
    const relayed = accounts(copies, flow.received, sent);
    // At once, because the target needs a round trip to confirm the rows.
    const recorded = Promise.resolve(onSent?.(relayed));
    // Not awaited if the target fails: without a connection to the target, a record can take minutes.
    recorded.catch(() => undefined);
    checkStored(copies, relayed, await untilStored(transfer));
    await recorded;
    return relayed;
  } finally {
    aborted.forget();
  }
}

/** Two running statements, and the bytes between them. */
interface Transfer {
  readonly out: CopyStatement;
  readonly into: CopyStatement;
  readonly flow: Flow;
  readonly aborted: Promise<Abortion>;
  readonly failure: (side: "source" | "target", failed: Failed) => Error;
}

/** Returns the row counts of the source. If either side fails, both are stopped. */
async function untilSent({ out, into, flow, aborted, failure }: Transfer): Promise<readonly CopyDone[]> {
  const first = await Promise.race([endOf("source", out), endOf("target", into), aborted]);
  if (first.of === "source" && first.outcome.ended === "complete") return first.outcome.copies;
  flow.stop();
  if (first.of === "signal") {
    await Promise.all([out.cancel(), into.fail("the copy was canceled")]);
    throw first.error;
  }
  if (first.of === "target") {
    await out.cancel();
    throw failure("target", asFailed(first.outcome));
  }
  await into.fail("the source failed");
  throw failure("source", asFailed(first.outcome));
}

/** Returns the row counts of the target after all rows were sent. */
async function untilStored({ into, aborted, failure }: Transfer): Promise<readonly CopyDone[]> {
  const last = await Promise.race([endOf("target", into), aborted]);
  if (last.of === "signal") {
    await into.cancel();
    throw last.error;
  }
  if (last.outcome.ended === "failed") throw failure("target", last.outcome);
  return last.outcome.copies;
}

/** Passes bytes from the source to the target. Pauses the source while too many wait, or when its rate is exceeded. */
class Flow {
  readonly reader: (toParser: (bytes: Buffer) => void) => (chunk: Buffer) => void;
  /** CopyData messages and bytes read in each copy. */
  readonly received: { messages: number; bytes: number }[] = [];
  readonly #frames: CopyFrames;
  readonly #target: CopyStatement;
  readonly #copies: number;
  readonly #rate: CopyRate | undefined;
  #bytes = 0;
  #bytesBefore = 0;
  #messagesBefore = 0;
  #source: CopyStatement | undefined;
  #stopped = false;
  #isTargetFull = false;
  /** Chunks that the rate does not allow yet. */
  #early = 0;
  #toParser: (bytes: Buffer) => void = () => undefined;

  constructor(target: CopyStatement, copies: number, { onProgress, rate }: Pick<Ends, "onProgress" | "rate">) {
    this.#target = target;
    this.#copies = copies;
    this.#rate = rate;
    this.#frames = new CopyFrames({
      copyData: (bytes) => {
        this.#bytes += bytes.length;
        if (!this.#stopped) this.#pass(bytes);
        onProgress?.(this.#bytes, this.#frames.count);
      },
      other: (bytes) => this.#toParser(bytes),
    });
    this.reader = (toParser) => {
      this.#toParser = toParser;
      return (chunk) => this.#frames.push(chunk);
    };
    target.onDrain(() => {
      this.#isTargetFull = false;
      this.#resume();
    });
  }

  readFrom(source: CopyStatement): void {
    this.#source = source;
    source.onCopied(() => this.#nextCopy());
    // The connection then belongs to other statements.
    void source.outcome.then(() => (this.#source = undefined));
  }

  /** Number of CopyData messages that were passed completely. */
  get messagesPassed(): number {
    return this.#frames.count - (this.#frames.lackingBytes > 0 ? 1 : 0);
  }

  /** Bytes that still arrive are read and discarded. The target gets no more, but its current message is completed. */
  stop(): void {
    this.#stopped = true;
    this.#target.pad(this.#frames.lackingBytes);
  }

  #pass(bytes: Buffer): void {
    if (this.#target.write(bytes) > maxWaitingBytes) this.#isTargetFull = true;
    if (this.#rate?.count(bytes.length, this.#onAllowed)) this.#early++;
    if (this.#isTargetFull || this.#early > 0) this.#source?.pause();
  }

  readonly #onAllowed = (): void => {
    this.#early--;
    this.#resume();
  };

  #resume(): void {
    if (!this.#isTargetFull && this.#early === 0) this.#source?.resume();
  }

  /** The last copy is ended by the caller, after the source's statement succeeded. */
  #nextCopy(): void {
    this.received.push({
      messages: this.#frames.count - this.#messagesBefore,
      bytes: this.#bytes - this.#bytesBefore,
    });
    this.#messagesBefore = this.#frames.count;
    this.#bytesBefore = this.#bytes;
    if (!this.#stopped && this.received.length < this.#copies) this.#target.finish();
  }
}

/** The amounts of each copy. @throws EngineError if others were received than the source sent */
function accounts(
  copies: readonly CopyPair[],
  received: readonly { readonly messages: number; readonly bytes: number }[],
  sent: readonly CopyDone[],
): Relayed[] {
  checkCopies(copies, "source", sent);
  return copies.map(({ what }, position) => {
    const { messages, bytes } = received[position]!;
    // In binary format one CopyData message ends the data (manual, "Binary Format", file trailer).
    const rows = messages - (sent[position]!.binary ? 1 : 0);
    if (rows !== sent[position]!.rows)
      throw new EngineError(`copying ${what}: the source sent ${sent[position]!.rows} rows, and ${rows} were received`);
    return { rows, bytes };
  });
}

function checkStored(copies: readonly CopyPair[], relayed: readonly Relayed[], stored: readonly CopyDone[]): void {
  checkCopies(copies, "target", stored);
  for (const [position, { what }] of copies.entries()) {
    const [sent, kept] = [relayed[position]!.rows, stored[position]!.rows];
    if (sent === kept) continue;
    throw new EngineError(`copying ${what}: the source sent ${sent} rows, and the target stored ${kept}`, {
      remedy: "look for a rule or a trigger on the target's table that drops rows",
    });
  }
}

function checkCopies(planned: readonly CopyPair[], side: "source" | "target", done: readonly CopyDone[]): void {
  if (done.length !== planned.length)
    throw new EngineError(`${planned.length} copies were planned, and the ${side} ran ${done.length}`);
}

/**
 * Both connections are watched, because a dead connection reports nothing. The side that has to send changes. It is the
 * source, unless it is paused. It is the target before its COPY starts, while it receives data, and after the last row.
 */
const watchSource = (source: Client, out: CopyStatement): void =>
  void watchOf(source)?.during(out.outcome, () => !out.isPaused);

const watchTarget = (target: Client, into: CopyStatement, sending: Sending): void =>
  void watchOf(target)?.during(
    into.outcome,
    () => !into.hasBegun || into.isSending || sending.isFinished,
    () => sending.messages(),
  );

/** What the target has been sent. */
interface Sending {
  isFinished: boolean;
  /** Number of complete CopyData messages. */
  messages: () => number;
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
  return {
    ended: "failed",
    error: new EngineError("a COPY FROM ended unexpectedly"),
    connectionLost: false,
    copiesBefore: 0,
  };
}

function failureOf(what: string, side: "source" | "target", { error, connectionLost }: Failed): Error {
  if (error instanceof EngineError) return error;
  const reason = describe(error);
  if (connectionLost)
    return new UnreachableError(`copying ${what} stopped: the ${side}'s connection broke: ${reason}`, {
      remedy: `if it happens again, see the ${side}'s log`,
      cause: error,
    });
  return new RefusedError(`copying ${what} stopped: the ${side} refused: ${reason}`, {
    remedy: remedyFor(side, error),
    cause: error,
  });
}

function remedyFor(side: "source" | "target", error: Error): string {
  if (side === "source") return "make sure that the role can read every row of this table, then start again";
  if (sqlStateOf(error) === sqlStates.insufficientPrivilege)
    return "let the target's role own this table, then start again";
  return "correct the row on the source, or the table's definition on the target, then start again";
}

function describe(error: Error): string {
  if (!(error instanceof DatabaseError)) return messageOf(error);
  const { code, where, hint } = error;
  // DETAIL shows rows, and CONTEXT the value after line and column. Messages must not contain users' data.
  const place = where?.split(/: "|\n/)[0];
  const parts = [`${error.message} (SQLSTATE ${code ?? "unknown"})`, place, hint];
  return parts.filter((part) => part !== undefined && part !== "").join("; ");
}
