import type { EventEmitter } from "node:events";
import type { Client, Connection, Submittable } from "pg";
import { Unreachable, asError } from "../errors.js";

export interface Statement {
  readonly text: string;
  readonly values?: readonly (string | null)[];
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
 */
export class RoundTrips {
  readonly #client: Client;
  readonly #names = new Map<string, string>();
  readonly #prepared = new Set<string>();

  constructor(client: Client) {
    this.#client = client;
  }

  /** Never rejects: what went wrong is in the answers. After an error the transaction has to be rolled back. */
  make(statements: readonly Statement[]): Promise<Answers> {
    const sent = statements.map((statement) => ({ statement, name: this.#nameOf(statement) }));
    return new Promise((resolve) => {
      this.#client.query(new RoundTrip(sent, this.#prepared, resolve));
    });
  }

  #nameOf({ prepared, text }: Statement): string {
    if (!prepared) return "";
    const name = this.#names.get(text) ?? `pg_migration_${this.#names.size + 1}`;
    this.#names.set(text, name);
    return name;
  }
}

interface Sent {
  readonly statement: Statement;
  /** Empty for one that is not prepared. */
  readonly name: string;
}

/** What pg's connection writes, and tells of beside what it hands to its query. */
interface Wire extends EventEmitter {
  readonly stream: Connection["stream"];
  parse(statement: { name: string; text: string }): void;
  bind(portal: { statement: string; values: readonly (string | null)[] }): void;
  execute(portal: object): void;
  sync(): void;
}

const copyDone = Buffer.from([0x63, 0, 0, 0, 4]);

/** For pg, a query of its own: its answers come to these handlers. */
class RoundTrip implements Submittable {
  readonly #sent: readonly Sent[];
  readonly #prepared: Set<string>;
  readonly #resolve: (answers: Answers) => void;
  readonly #rows: number[] = [];
  /** Names in the order in which they will be said to be parsed. */
  readonly #parsing: string[] = [];
  #release: () => void = () => undefined;

  constructor(sent: readonly Sent[], prepared: Set<string>, resolve: (answers: Answers) => void) {
    this.#sent = sent;
    this.#prepared = prepared;
    this.#resolve = resolve;
  }

  /** Answers why nothing could be sent, which comes back through {@link handleError}. */
  submit(connection: Connection): Error | undefined {
    const wire = connection as unknown as Wire;
    // The server has said its last word, and pg has not heard of the end yet.
    if (!wire.stream.writable) return new Unreachable("the server has closed the connection");
    const parsed = new Set(this.#prepared);
    const onParsed = (): void => this.#noteParsed();
    wire.on("parseComplete", onParsed);
    this.#release = () => wire.off("parseComplete", onParsed);
    wire.stream.cork();
    for (const { statement, name } of this.#sent) {
      if (!parsed.has(name)) {
        wire.parse({ name, text: statement.text });
        this.#parsing.push(name);
        if (name !== "") parsed.add(name);
      }
      wire.bind({ statement: name, values: statement.values ?? [] });
      wire.execute({});
      if (!statement.copyData) continue;
      for (const message of statement.copyData) wire.stream.write(message);
      wire.stream.write(copyDone);
    }
    wire.sync();
    wire.stream.uncork();
    return undefined;
  }

  handleCommandComplete({ text }: { text: string }): void {
    this.#sent[this.#rows.length]?.statement.onDone?.(text);
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
  #noteParsed(): void {
    const name = this.#parsing.shift();
    if (name) this.#prepared.add(name);
  }

  #end(error: Error | undefined): void {
    this.#release();
    this.#resolve({ rows: this.#rows, error });
  }
}
