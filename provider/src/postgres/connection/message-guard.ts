import type { Duplex } from "node:stream";
import { RefusedError, UnreachableError, messageOf } from "../../errors.js";
import { divert } from "./divert.js";

/** What `pg` offers beneath a client and does not type. */
interface Connection {
  attachListeners(stream: Duplex): void;
}

/**
 * Checks a server's messages before `pg` parses them. Its parser throws outside of any promise, loops forever in an error
 * without an end, and buffers a message of any length. Here each of these closes the connection with one error.
 *
 * @param where `user@host:port/database`, for the error
 */
export function guardMessages(connection: object, where: string): void {
  const guarded = connection as Connection;
  const attach = guarded.attachListeners.bind(connection);
  guarded.attachListeners = (stream) => {
    attach(stream);
    const guard = new MessageGuard(where);
    divert(stream, (toParser) => (chunk) => {
      guard.check(chunk);
      try {
        toParser(chunk);
      } catch (error) {
        throw unreadable(where, messageOf(error), error);
      }
    });
  };
}

const headerBytes = 5;

/** Types of messages by PostgreSQL's manual, "Message Formats". */
const startupTypes = "REKNSZ";
const sessionTypes = "123ACDEGHINSTVWZcdnst";

const kib = 1024;
const mib = 1024 * kib;

/** A server never sends more in one message. A row, and what COPY sends, has up to 1 GB. */
function maxBytes(type: string, isReady: boolean): number {
  if (!isReady || !"ADENTVdt".includes(type)) return mib;
  return "DVd".includes(type) ? kib * mib : 64 * mib;
}

const hasValidLength = (type: string, length: number, isReady: boolean): boolean =>
  length >= 4 && length <= maxBytes(type, isReady);

/**
 * Checks the header of a message in an authenticated session.
 *
 * @param where `user@host:port/database`, for the error
 * @throws RefusedError when the type is unknown, or no message of that type has this length
 */
export function checkHeader(where: string, type: string, length: number): void {
  if (!sessionTypes.includes(type) || !hasValidLength(type, length, true)) throw invalid(where, type, length);
}

/** Authentication requests that `pg` answers: none, cleartext, MD5, and SASL in three steps. */
const answeredRequests: readonly number[] = [0, 3, 5, 10, 11, 12];

const unsupportedMethods: ReadonlyMap<number, string> = new Map([
  [2, "Kerberos"],
  [6, "SCM"],
  [7, "GSSAPI"],
  [8, "GSSAPI"],
  [9, "SSPI"],
]);

/** Follows the messages of one connection through its chunks. */
class MessageGuard {
  readonly #header = Buffer.alloc(headerBytes);
  #headerHas = 0;
  #type = "";
  #bodyHas = 0;
  #bodyBytes = 0;
  /** The first four bytes of the body, and its last two. */
  #first = 0;
  #last = 0;
  #isReady = false;

  constructor(readonly where: string) {}

  /**
   * @throws RefusedError when the chunk is not part of PostgreSQL's protocol, or asks for an unsupported login
   * @throws UnreachableError when the server could not start a process
   */
  check(chunk: Buffer): void {
    for (let at = 0; at < chunk.length;)
      at = this.#bodyHas < this.#bodyBytes ? this.#readBody(chunk, at) : this.#readHeader(chunk, at);
  }

  #readHeader(chunk: Buffer, at: number): number {
    const taken = chunk.copy(this.#header, this.#headerHas, at, at + headerBytes - this.#headerHas);
    this.#headerHas += taken;
    if (this.#headerHas === headerBytes) this.#begin();
    return at + taken;
  }

  #begin(): void {
    const type = this.#header.toString("latin1", 0, 1);
    const length = this.#header.readUInt32BE(1);
    // A postmaster that cannot start a process sends the bare text of the error after the E.
    const isValidLength = hasValidLength(type, length, this.#isReady);
    if (type === "E" && !isValidLength && !this.#isReady) throw this.#noProcess();
    const isKnown = (this.#isReady ? sessionTypes : startupTypes).includes(type);
    if (!isKnown || !isValidLength) throw invalid(this.where, type, length);
    this.#headerHas = 0;
    this.#type = type;
    this.#bodyHas = this.#first = this.#last = 0;
    this.#bodyBytes = length - 4;
    if (type === "Z") this.#isReady = true;
    const minBytes = { E: 1, N: 1, R: 4 }[type] ?? 0;
    if (this.#bodyBytes < minBytes) throw invalid(this.where, type, length);
  }

  #readBody(chunk: Buffer, at: number): number {
    const end = Math.min(chunk.length, at + this.#bodyBytes - this.#bodyHas);
    if (this.#type === "R")
      for (let from = at; from < end && this.#bodyHas + from - at < 4; from++)
        this.#first = this.#first * 256 + chunk[from]!;
    for (let from = Math.max(at, end - 2); from < end; from++) this.#last = (this.#last * 256 + chunk[from]!) & 0xffff;
    this.#bodyHas += end - at;
    if (this.#bodyHas === this.#bodyBytes) this.#end();
    return end;
  }

  #end(): void {
    if (this.#type === "R") this.#checkLogin(this.#first);
    // Each field ends with a zero byte, and so does the list of fields.
    if ((this.#type === "E" || this.#type === "N") && this.#last !== 0)
      throw invalid(this.where, this.#type, this.#bodyBytes + 4);
  }

  #checkLogin(request: number): void {
    if (answeredRequests.includes(request)) return;
    const method = unsupportedMethods.get(request) ?? `method ${request}`;
    throw new RefusedError(
      `${this.where}: the server asks for authentication by ${method}, which this package does not support`,
      {
        remedy:
          "put a line into pg_hba.conf, before the one that matches now, that lets the role in from this machine by scram-sha-256 (md5 before 10), then SELECT pg_reload_conf()",
        code: "PGM-101",
      },
    );
  }

  #noProcess(): UnreachableError {
    return new UnreachableError(`${this.where}: the server could not start a process for the session`, {
      remedy: "free memory or processes on the server; its log names the cause",
      code: "603000",
    });
  }
}

const invalid = (where: string, type: string, length: number): RefusedError =>
  unreadable(where, `a message of type ${JSON.stringify(type)} with ${length} bytes`);

const unreadable = (where: string, what: string, cause?: unknown): RefusedError =>
  new RefusedError(`${where}: the server does not follow PostgreSQL's protocol (${what})`, {
    remedy: "check host and port; another service, or a proxy, may answer there",
    code: "603000",
    cause,
  });
