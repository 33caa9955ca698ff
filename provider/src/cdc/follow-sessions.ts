import type { Client } from "pg";
import { connect, watchSession } from "../postgres/connection/connect.js";
import type { OnBlocked, SessionWatch } from "../postgres/connection/session-watch.js";
import type { FollowOptions } from "./follow-options.js";
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

/** The connections of a stream from the source to the target. */
export interface FollowSessions {
  readonly source: Client;
  readonly stream: Client;
  readonly target: Client;
  readonly watch: SessionWatch;
}

export async function openSessions(options: FollowOptions, onBlocked: OnBlocked): Promise<FollowSessions> {
  const { source, target, database, targetDatabase } = options;
  const patienceMs = silenceLimitMs(options) / checksWithinSilence;
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
    const watch = watchSession(target, targetDatabase, applying, { patienceMs, onBlocked });
    return { target: applying, watch, source: asking, stream };
  } catch (error) {
    const opened = await Promise.allSettled(opening);
    for (const session of opened) if (session.status === "fulfilled") await session.value.end();
    throw error;
  }
}

export async function endSessions({ source, stream, target }: FollowSessions): Promise<void> {
  await Promise.all([source.end(), stream.end(), target.end()]);
}
