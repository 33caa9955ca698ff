import { setTimeout as sleep } from "node:timers/promises";
import { EngineError, LockNotAvailableError, RefusedError, UnreachableError, messageOf } from "../../errors.js";
import { connect } from "../../postgres/connection/connect.js";
import { withSession } from "../../postgres/connection/with-session.js";
import type { Endpoint } from "../../postgres/connection/endpoint.js";
import { describeHolders, lockHolders, remedyAgainst } from "../../postgres/locks/lock-holders.js";
import { lockTimeoutSeconds } from "../../postgres/locks/lock-waits.js";
import { majorVersion, serverVersion } from "../../postgres/server-version.js";
import type { DumpOptions } from "./dump-options.js";
import { dumpNatively, findNativeTool } from "./native-dump.js";
import { dumpInWasm, wasmMajor } from "./wasm-dump.js";

export interface Dump {
  /** Output of `pg_dump --schema-only --verbose`. */
  readonly text: string;
  /** The tool and its version: `pg_dump 15.18 (native)`. */
  readonly tool: string;
}

/** Between two attempts nothing is locked. */
const pauseMs = 500;

/**
 * Dumps the definitions of all objects in a database. While other sessions keep a table locked, it retries for a
 * minute.
 *
 * @throws LockNotAvailableError naming the sessions that keep a table locked for longer
 * @throws RefusedError when no pg_dump is new enough, or the source refuses a query of pg_dump
 * @throws UnreachableError when the source does not answer
 * @throws the signal's reason, or CanceledError
 */
export async function dumpSchema(source: Endpoint, database: string, options: DumpOptions = {}): Promise<Dump> {
  const { signal, lockSeconds = lockTimeoutSeconds } = options;
  const deadline = Date.now() + lockSeconds * 1000;
  for (;;) {
    try {
      return await dumpOnce(source, database, options);
    } catch (error) {
      if (!(error instanceof LockNotAvailableError)) throw error;
      if (Date.now() >= deadline) throw await stayLocked(source, database, lockSeconds, error);
      // The next attempt throws the signal's reason.
      await sleep(pauseMs, undefined, { signal }).catch(() => undefined);
    }
  }
}

async function stayLocked(
  source: Endpoint,
  database: string,
  seconds: number,
  cause: LockNotAvailableError,
): Promise<LockNotAvailableError> {
  const client = await connect(source, { database, purpose: "look at locks" });
  const holders = await lockHolders(client).finally(() => client.end());
  return new LockNotAvailableError(
    `the schema of ${database} could not be read for ${seconds} s: ${describeHolders(holders) || cause.message}`,
    {
      remedy: `${remedyAgainst(holders, `${source.host}:${source.port}`)}; then start again`,
      cause,
    },
  );
}

async function dumpOnce(source: Endpoint, database: string, options: DumpOptions): Promise<Dump> {
  const version = options.version ?? (await readVersion(source, database));
  const major = majorVersion(version);
  const native = options.tool === "wasm" ? undefined : await findNativeTool(major);
  if (options.tool !== "native" && !native) return inWasm(source, database, major, options);
  if (!native) throw noToolFor(major);
  try {
    return named(await dumpNatively(native, source, database, options), "native");
  } catch (error) {
    const isFinal = options.signal?.aborted || error instanceof LockNotAvailableError || major > wasmMajor;
    if (options.tool === "native" || isFinal) throw error;
    return withoutNative(database, options, error, () => inWasm(source, database, major, options));
  }
}

/**
 * The native tool may fail for reasons that do not affect the embedded one: libpq's TLS, a missing library, a full
 * disk.
 */
async function withoutNative(
  database: string,
  { signal }: DumpOptions,
  nativeError: unknown,
  dumpEmbedded: () => Promise<Dump>,
): Promise<Dump> {
  try {
    const { text, tool } = await dumpEmbedded();
    return { text, tool: `${tool}, after the native one failed: ${messageOf(nativeError)}` };
  } catch (error) {
    if (signal?.aborted || error instanceof LockNotAvailableError || error instanceof UnreachableError) throw error;
    throw new RefusedError(`neither pg_dump could read ${database}: ${messageOf(nativeError)}; ${messageOf(error)}`, {
      remedy: "correct the cause on the source, then run the migration again",
      cause: new AggregateError([nativeError, error]),
    });
  }
}

async function inWasm(source: Endpoint, database: string, major: number, options: DumpOptions): Promise<Dump> {
  if (major > wasmMajor) throw noToolFor(major);
  return named(await dumpInWasm(source, database, options), "wasm");
}

const readVersion = (source: Endpoint, database: string): Promise<number> =>
  withSession(source, { database, purpose: "dump version" }, serverVersion);

function named(text: string, kind: "native" | "wasm"): Dump {
  const version = /^-- Dumped by pg_dump version (\S+)/m.exec(text)?.[1];
  if (version === undefined) throw new EngineError(`the ${kind} pg_dump wrote no dump`);
  return { text, tool: `pg_dump ${version} (${kind})` };
}

const noToolFor = (major: number): RefusedError =>
  new RefusedError(`no pg_dump here can read PostgreSQL ${major}`, {
    remedy: `install PostgreSQL's client tools, version ${major} or newer, or set the environment variable PG_DUMP to a pg_dump`,
  });
