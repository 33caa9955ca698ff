import type { Problem } from "../findings.js";
import { RefusedError } from "../errors.js";
import type { Endpoint } from "../postgres/connection/endpoint.js";
import { withSession } from "../postgres/connection/with-session.js";
import { serverVersion } from "../postgres/server-version.js";
import { readQueryTimes } from "./query-times.js";
import { compareQueries, type QueryTimes, slowerQueries } from "./slower-queries.js";

/** A database of a server. */
interface Place {
  readonly endpoint: Endpoint;
  readonly database: string;
}

/**
 * PGM-831: queries of a database that take longer on the target, as pg_stat_statements recorded them. Executes none of them.
 *
 * @throws RefusedError if one side does not have pg_stat_statements, or refuses the session
 * @throws UnreachableError if one side does not answer
 */
export async function compareQueryTimes(source: Place, target: Place): Promise<Problem[]> {
  const [before, ...versions] = await timesIn(source, "source");
  const [now, version] = await timesIn(target, "target");
  // The remedy has to work on both servers.
  const slower = slowerQueries(compareQueries(before, now), Math.min(...versions, version));
  return slower.map((problem) => ({ database: target.database, ...problem }));
}

const timesIn = ({ endpoint, database }: Place, side: "source" | "target"): Promise<[QueryTimes[], number]> =>
  withSession(endpoint, { database, purpose: "query times" }, async (session) => {
    const times = await readQueryTimes(session);
    if (times) return [times, await serverVersion(session)];
    throw new RefusedError(`pg_stat_statements is not installed in ${database} on the ${side}, or not loaded`);
  });
