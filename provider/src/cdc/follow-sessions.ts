import type { Client } from "pg";
import { connect, watchSession } from "../postgres/connection/connect.js";
import type { OnBlocked, SessionWatch } from "../postgres/connection/session-watch.js";
import type { FollowOptions } from "./follow-options.js";
import { useSearchPath } from "../postgres/search-path.js";
import { passBytes } from "../postgres/connection/pass-bytes.js";
import { serverVersion } from "../postgres/server-version.js";
import { openTargetSession } from "./target/target-session.js";
import { WalSender } from "./reader/walsender.js";

const defaultSilenceLimitSeconds = 45;
/** A silent target is checked after each third of the limit: twice before the limit is reached. */
const checksWithinSilence = 3;

/** How long a server may be silent while an answer is due. */
export const silenceLimitMs = ({ silenceLimitSeconds }: FollowOptions): number =>
  1000 * (silenceLimitSeconds ?? defaultSilenceLimitSeconds);

/** A session that applies changes, and the watch that detects when its connection is dead. */
export interface ApplyingSession {
  readonly target: Client;
  readonly watch: SessionWatch;
}

/** Opens another session that applies changes. */
export async function openApplyingSession(options: FollowOptions, onBlocked: OnBlocked): Promise<ApplyingSession> {
  const { target, targetDatabase, searchPath } = options;
  const session = await openTargetSession(target, targetDatabase, options);
  try {
    if (searchPath) await useSearchPath(session, searchPath);
  } catch (error) {
    await session.end();
    throw error;
  }
  return applyingSession(session, options, onBlocked);
}

function applyingSession(session: Client, options: FollowOptions, onBlocked: OnBlocked): ApplyingSession {
  const patienceMs = silenceLimitMs(options) / checksWithinSilence;
  const watch = watchSession(options.target, options.targetDatabase, session, { patienceMs, onBlocked });
  return { target: session, watch };
}

/** The connections of a stream from the source to the target. */
export interface FollowSessions extends ApplyingSession {
  readonly source: Client;
  readonly stream: Client;
}

export async function openSessions(options: FollowOptions, onBlocked: OnBlocked): Promise<FollowSessions> {
  const { source, target, database, targetDatabase } = options;
  // In parallel, because opening a session takes several round trips.
  const opening = [
    openTargetSession(target, targetDatabase, options),
    connect(source, { database, purpose: "follow" }),
    WalSender.session(source, database),
  ] as const;
  try {
    const [applying, asking, stream] = await Promise.all(opening);
    await passBytes(asking);
    // Before 10 a walsender takes no SQL. It then refuses bytes of an SQL_ASCII database that are not valid UTF-8.
    if ((await serverVersion(asking)) >= 100000) await passBytes(stream);
    return { ...applyingSession(applying, options, onBlocked), source: asking, stream };
  } catch (error) {
    const opened = await Promise.allSettled(opening);
    for (const session of opened) if (session.status === "fulfilled") await session.value.end();
    throw error;
  }
}

export async function endSessions({ source, stream, target }: FollowSessions): Promise<void> {
  await Promise.all([source.end(), stream.end(), target.end()]);
}
