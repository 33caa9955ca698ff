import type { EventEmitter } from "node:events";
import type { Client, Connection, Submittable } from "pg";
import { UnreachableError, asError } from "../../errors.js";
import type { BoundValues } from "./bind-message.js";
import { PreparedStatements } from "./prepared-statements.js";

export interface Statement {
  readonly text: string;
  readonly values?: readonly (string | null)[];
  /** Replaces `values`: values in the form of the stream. */
  readonly bound?: BoundValues;
  /** Whether to prepare the statement, because it is repeated in this session. */
  readonly prepared?: boolean;
  /** The data of a `COPY ... FROM STDIN`: CopyData messages with headers. */
  readonly copyData?: readonly Buffer[];
  /** Receives the command's tag as soon as the server has executed it, even if a later statement fails. */
  readonly onDone?: (tag: string) => void;
}

export interface Answers {
  /** The number of rows that each statement affected, in order, up to the failed statement. */
  readonly rows: readonly number[];
  /** The error of the connection, or of the first failed statement. The server skipped the statements after it. */
  readonly error: Error | undefined;
}

/**
 * Sends many statements in one round trip: the extended query protocol up to one Sync (manual, "Pipelining"). The data of a
 * COPY follow its Execute immediately. If the COPY fails, the server skips them, as it skips everything up to the Sync.
 *
 * A call while another one is under way is sent immediately, independently of the other's result. The two calls must not
 * prepare the same new statement.
 */
export class PipelinedQueries {
  readonly #client: Client;
  readonly #prepared: PreparedStatements;
  #latest: RoundTrip | undefined;

  constructor(client: Client, prepared = new PreparedStatements()) {
    this.#client = client;
    this.#prepared = prepared;
  }

  /** Never rejects: `Answers` contains the error. After an error, the caller must roll back the transaction. */
  make(statements: readonly Statement[]): Promise<Answers> {
    return new Promise((resolve) => {
      const trip = new RoundTrip(statements, this.#prepared, resolve);
      const listen = (): unknown => this.#client.query(trip);
      const former = this.#latest;
      this.#latest = trip;
      if (!former?.wire) return void listen();
      trip.send(former.wire);
      former.whenOver(listen);
    });
  }
}

/** The part of pg's connection that writes messages, and emits events in addition to those for its query. */
interface Wire extends EventEmitter {
  readonly stream: Connection["stream"];
  parse(statement: { name: string; text: string }): void;
  bind(portal: { statement: string; values: readonly (string | null)[] }): void;
  execute(portal: object): void;
  close(statement: { type: "S"; name: string }): void;
  sync(): void;
}

const copyDone = Buffer.from([0x63, 0, 0, 0, 4]);

/** One call of `make`. pg treats it as a query and calls its handlers for the server's answers. */
class RoundTrip implements Submittable {
  readonly #statements: readonly Statement[];
  readonly #prepared: PreparedStatements;
  readonly #resolve: (answers: Answers) => void;
  readonly #rows: number[] = [];
  /** Names of statements whose ParseComplete is pending, in order. */
  readonly #parsing: string[] = [];
  /** Names of statements that this round trip has prepared. */
  readonly #requested = new Set<string>();
  /** Names of statements whose CloseComplete is pending, in order. */
  readonly #closing: string[] = [];
  #release: () => void = () => undefined;
  #wire: Wire | undefined;
  #next: (() => void) | undefined;

  constructor(statements: readonly Statement[], prepared: PreparedStatements, resolve: (answers: Answers) => void) {
    this.#statements = statements;
    this.#prepared = prepared;
    this.#resolve = resolve;
  }

  /** The connection on which it was sent; undefined before, and after all answers have arrived. */
  get wire(): Wire | undefined {
    return this.#wire;
  }

  /** Calls `next` synchronously after the last answer: the next round trip's answers may be in the same chunk. */
  whenOver(next: () => void): void {
    this.#next = next;
  }

  /**
   * pg calls it before it delivers this query's answers. Returns an error if nothing can be sent. pg then passes it to
   * {@link handleError}.
   */
  submit(connection: Connection): Error | undefined {
    const wire = connection as unknown as Wire;
    // The server has closed the connection, but pg has not received the event yet.
    if (!wire.stream.writable) return new UnreachableError("the server has closed the connection");
    this.#listen(wire);
    if (!this.#wire) this.send(wire);
    return undefined;
  }

  send(wire: Wire): void {
    if (!wire.stream.writable) return;
    this.#wire = wire;
    wire.stream.cork();
    for (const name of this.#prepared.evicted) this.#close(wire, name);
    for (const statement of this.#statements) this.#send(wire, statement);
    wire.sync();
    wire.stream.uncork();
  }

  #send(wire: Wire, statement: Statement): void {
    const { values = [], bound, copyData } = statement;
    const name = this.#parse(wire, statement);
    if (bound) for (const piece of bound.messageFor(name)) wire.stream.write(piece);
    else wire.bind({ statement: name, values });
    wire.execute({});
    if (!copyData) return;
    for (const message of copyData) wire.stream.write(message);
    wire.stream.write(copyDone);
  }

  /** Returns the name of the statement on the server. */
  #parse(wire: Wire, { text, prepared }: Statement): string {
    const { name, evicted } = prepared ? this.#prepared.use(text) : { name: "", evicted: [] };
    for (const former of evicted) this.#close(wire, former);
    if (name !== "" && (this.#prepared.isReady(name) || this.#requested.has(name))) return name;
    wire.parse({ name, text });
    this.#parsing.push(name);
    this.#requested.add(name);
    return name;
  }

  #close(wire: Wire, name: string): void {
    wire.close({ type: "S", name });
    this.#closing.push(name);
  }

  handleCommandComplete({ text }: { text: string }): void {
    this.#statements[this.#rows.length]?.onDone?.(text);
    this.#rows.push(Number(/\d+$/.exec(text)?.[0] ?? 0));
  }

  handleError(error: unknown): void {
    this.#end(asError(error));
  }

  handleReadyForQuery(): void {
    this.#end(undefined);
  }

  /** The COPY data were already sent. */
  handleCopyInResponse(): void {
    return;
  }

  /** Rows are not read. Their number comes with CommandComplete. */
  handleDataRow(): void {
    return;
  }

  /** Tracks prepared statements by ParseComplete: a statement whose execution fails or is rolled back stays prepared. */
  #listen(wire: Wire): void {
    const onParsed = (): void => {
      const name = this.#parsing.shift();
      if (name) this.#prepared.parsed(name);
    };
    const onClosed = (): void => {
      const name = this.#closing.shift();
      if (name) this.#prepared.closed(name);
    };
    wire.on("parseComplete", onParsed);
    wire.on("closeComplete", onClosed);
    this.#release = () => {
      wire.off("parseComplete", onParsed);
      wire.off("closeComplete", onClosed);
    };
  }

  #end(error: Error | undefined): void {
    this.#wire = undefined;
    this.#release();
    this.#resolve({ rows: this.#rows, error });
    this.#next?.();
    this.#next = undefined;
  }
}
