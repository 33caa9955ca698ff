import { basename } from "node:path";
import { parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import { messageOf } from "../../errors.js";
import { turn, type WasmDumpResult, type WasmDumpTask } from "./wasm-dump-task.js";

/**
 * The thread that runs the embedded pg_dump, see `wasm-dump`. It acts as pg_dump's server: it answers the start-up
 * itself, because the session is authenticated, and forwards all other messages.
 */

const { port, turns, parameters, arguments: dumpArguments } = workerData as WasmDumpTask;
const whoseTurn = new Int32Array(turns);

/** Longer than pg_dump's lock timeout (see `dump-options`). */
const answerTimeoutMs = 15 * 60_000;

/** Requests for an encrypted session, in the form of the start-up packet (manual, "Message Formats"). */
const encryptionRequests = [80877103, 80877104];

/**
 * The library removes every line that starts with `\restrict` or `\unrestrict`, also inside a function's body.
 * Therefore the backslash is replaced by a control character, and restored afterwards.
 */
const restrict = /\\(?=(?:un)?restrict)/gi;
const placeholder = "\u007f";
const placeholderBefore = /\u007f(?=(?:un)?restrict)/gi;

const protocol = {
  async query() {
    return Promise.resolve({ rows: [{ search_path: "" }] });
  },
  async exec() {
    return Promise.resolve([]);
  },
  execProtocolRawStream: serve,
};

let isStarted = false;
let pending = Buffer.alloc(0);

function serve(bytes: Uint8Array, { onRawData }: { onRawData: (answer: Uint8Array) => void }): void {
  const request = Buffer.from(bytes);
  if (!isStarted) {
    const isEncryptionRequest = encryptionRequests.includes(request.readInt32BE(4));
    isStarted = !isEncryptionRequest;
    onRawData(isEncryptionRequest ? Buffer.from("N") : startUp());
    return;
  }
  pending = Buffer.concat([pending, request]);
  const { isComplete, awaitsAnswer } = examine(pending);
  if (!isComplete) return;
  const complete = pending;
  pending = Buffer.alloc(0);
  Atomics.store(whoseTurn, 0, turn.server);
  hand(complete);
  if (awaitsAnswer) onRawData(answer());
}

/**
 * Query, Sync and FunctionCall are answered up to ReadyForQuery. Terminate is not forwarded, because the session
 * belongs to the main thread.
 */
function examine(request: Buffer): { isComplete: boolean; awaitsAnswer: boolean } {
  let at = 0;
  let awaitsAnswer = false;
  while (at + 5 <= request.length) {
    awaitsAnswer ||= "QSF".includes(String.fromCharCode(request[at]!));
    at += 1 + request.readInt32BE(at + 1);
  }
  return { isComplete: at === request.length, awaitsAnswer };
}

const hand = (request: Buffer): void => {
  if (request[0] !== "X".charCodeAt(0)) port.postMessage(new Uint8Array(request));
};

function answer(): Uint8Array {
  // A late notification of an earlier turn may wake the thread.
  while (Atomics.load(whoseTurn, 0) === turn.server)
    if (Atomics.wait(whoseTurn, 0, turn.server, answerTimeoutMs) === "timed-out")
      throw new Error("the source did not answer for 15 minutes");
  const message = receiveMessageOnPort(port) as { message: Uint8Array } | undefined;
  if (!message) throw new Error("the source's connection broke");
  const text = Buffer.from(message.message).toString("latin1");
  return Buffer.from(text.replace(restrict, placeholder), "latin1");
}

/** AuthenticationOk, ParameterStatus of each parameter, BackendKeyData, ReadyForQuery. */
function startUp(): Buffer {
  const zero = Buffer.alloc(4);
  return Buffer.concat([
    message("R", zero),
    ...parameters.map(([name, value]) => message("S", Buffer.from(`${name}\0${value}\0`))),
    message("K", Buffer.concat([zero, zero])),
    message("Z", Buffer.from("I")),
  ]);
}

function message(type: string, body: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.write(type);
  head.writeInt32BE(4 + body.length, 1);
  return Buffer.concat([head, body]);
}

async function dump(): Promise<WasmDumpResult> {
  // CommonJS can load an ES module only by import().
  const { pgDump } = await import("@electric-sql/pglite-tools/pg_dump");
  try {
    const pg = protocol as unknown as Parameters<typeof pgDump>[0]["pg"];
    const file = await pgDump({ pg, args: [...dumpArguments] });
    return { text: (await file.text()).replace(placeholderBefore, "\\") };
  } catch (error) {
    return { failure: complaint(messageOf(error)) };
  }
}

/** Removes the progress log from pg_dump's error output. The library joins both in one line, with this file's name. */
function complaint(message: string): string {
  const error = message.split(`${basename(__filename)}: `).find((line) => line.startsWith("error: "));
  return error === undefined ? message : `pg_dump: ${error.trimEnd()}`;
}

void dump().then((result) => parentPort?.postMessage(result));
