import type { EventEmitter } from "node:events";
import type { Client, Connection, Submittable } from "pg";
import { UnreachableError, asError } from "../../errors.js";
import type { BoundValues } from "./bind-message.js";
import { PreparedStatements } from "./prepared-statements.js";

export interface Statement {
  readonly text: string;
  readonly values?: readonly (string | null)[];
  /** In place of `values`: in the form in which they came. */
  readonly bound?: BoundValues;
  /** Worth preparing once in a session: it comes again and again. */
  readonly prepared?: boolean;
  /** What a `COPY ... FROM STDIN` is given: CopyData messages, headers included. */
  readonly copyData?: readonly Buffer[];
  /** Told the command's tag as soon as the server has executed it, whatever becomes of those behind it. */
  readonly onDone?: (tag: string) => void;
}

export interface Answers {
  /** How many rows each statement affected, in order, up to the one that failed. */
  readonly rows: readonly number[];
  /** Of the first statement that failed, none of those behind it was executed; or of the connection. */
  readonly error: Error | undefined;
}

/**
 * Sends statements to a server without waiting for answers in between, so that a batch costs one round trip however many
 * it has: the extended query protocol up to one Sync (manual, "Pipelining"). COPY's data follow its Execute at once; should
 * it fail, the server skips them as it skips all else up to the Sync.
 *
 * One that is made while another is under way is sent at once, behind it, whatever that will be answered; it must not have
 * a statement to prepare which that prepares as well.
 */
export class PipelinedQueries {
  readonly #client: Client;
  readonly #prepared: PreparedStatements;
  #latest: RoundTrip | undefined;

  constructor(client: Client, prepared = new PreparedStatements()) {
    this.#client = client;
    this.#prepared = prepared;
  }

  /** Never rejects: what went wrong is in the answers. After an error the transaction has to be rolled back. */
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

/** What pg's connection writes, and tells of beside what it hands to its query. */
interface Wire extends EventEmitter {
  readonly stream: Connection["stream"];
  parse(statement: { name: string; text: string }): void;
  bind(portal: { statement: string; values: readonly (string | null)[] }): void;
  execute(portal: object): void;
  close(statement: { type: "S"; name: string }): void;
  sync(): void;
}

const copyDone = Buffer.from([0x63, 0, 0, 0, 4]);

/** For pg, a query of its own: its answers come to these handlers. */
class RoundTrip implements Submittable {
  readonly #statements: readonly Statement[];
  readonly #prepared: PreparedStatements;
  readonly #resolve: (answers: Answers) => void;
  readonly #rows: number[] = [];
  /** Names in the order in which they will be said to be parsed. */
  readonly #parsing: string[] = [];
  readonly #asked = new Set<string>();
  /** In the order in which they will be said to be closed. */
  readonly #closing: string[] = [];
  #release: () => void = () => undefined;
  #wire: Wire | undefined;
  #next: (() => void) | undefined;

  constructor(statements: readonly Statement[], prepared: PreparedStatements, resolve: (answers: Answers) => void) {
    this.#statements = statements;
    this.#prepared = prepared;
    this.#resolve = resolve;
  }

  /** Where it was sent, until all its answers are here. */
  get wire(): Wire | undefined {
    return this.#wire;
  }

  /** At once: the next answer may be here already. */
  whenOver(next: () => void): void {
    this.#next = next;
  }

  /**
   * Called by pg when the answers are this one's. Answers why nothing could be sent, which comes back through
   * {@link handleError}.
   */
  submit(connection: Connection): Error | undefined {
    const wire = connection as unknown as Wire;
    // The server has said its last word, and pg has not heard of the end yet.
    if (!wire.stream.writable) return new UnreachableError("the server has closed the connection");
    this.#listen(wire);
    if (!this.#wire) this.send(wire);
    return undefined;
  }

  send(wire: Wire): void {
    if (!wire.stream.writable) return;
    this.#wire = wire;
    wire.stream.cork();
    for (const name of this.#prepared.retriesExhausted) this.#close(wire, name);
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

  /** Answers the name under which the statement is there. */
  #parse(wire: Wire, { text, prepared }: Statement): string {
    const { name, insteadOf } = prepared ? this.#prepared.use(text) : { name: "", insteadOf: [] };
    for (const former of insteadOf) this.#close(wire, former);
    if (name !== "" && (this.#prepared.isReady(name) || this.#asked.has(name))) return name;
    wire.parse({ name, text });
    this.#parsing.push(name);
    this.#asked.add(name);
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

  /** Its data are on their way already. */
  handleCopyInResponse(): void {
    return;
  }

  /** Rows are counted, not read. */
  handleDataRow(): void {
    return;
  }

  /** A statement that fails, or is undone, stays prepared. */
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
