import { withTimeout } from "../async/with-timeout.js";
import { log } from "../log.js";
import { messageOf } from "../errors.js";
import { observe, observedStatus, type Observation } from "./observe.js";
import { reportEnd } from "../report/report-end.js";
import { hasEnded } from "../status.js";
import { olderRecord, type Recorded } from "./ownership/older-record.js";
import { hasSameUrn, owns } from "./ownership/ownership.js";
import { inputsWithin, reportedOutputs, statusWithin, type Properties, wasNeverRecorded } from "./state.js";

/** Another session may lock the records. */
const readWithinMs = 90_000;

/**
 * Reports the status in the records, or the last known status if they cannot be read within 90 seconds. Never throws.
 */
export async function read(
  id: string,
  props: Properties,
  withinMs = readWithinMs,
): Promise<{ id: string; props: Properties }> {
  const inputs = inputsWithin(props);
  if (!inputs) return { id, props };
  try {
    const seen = await withTimeout(observe(inputs, "read"), withinMs);
    if (!seen) log.warn(`the migration's status could not be read within ${withinMs / 1000} s`);
    // The record may have been written although its creation failed. Another resource's record is not shown.
    if (wasNeverRecorded(props) && !(seen?.kind === "recorded" && hasSameUrn(props, seen.owner))) return { id, props };
    const older = seen?.kind === "recorded" && owns(props, seen.owner) && olderRecord(recorded(seen), props);
    if (older) {
      log.warn(older.message);
      return { id, props };
    }
    const observed = seen && observedStatus(seen, props);
    // Later operations no longer see the end: their known status has ended.
    const isEnd = observed && !hasEnded(statusWithin(props)?.state ?? observed.state);
    const currentStatus = isEnd ? await reportEnd(inputs, observed) : observed;
    return { id, props: currentStatus ? { ...props, ...reportedOutputs(inputs, currentStatus) } : props };
  } catch (error) {
    log.warn(`the migration's status cannot be read: ${messageOf(error)}`);
    return { id, props };
  }
}

const recorded = ({ spec, status }: Extract<Observation, { kind: "recorded" }>): Recorded => ({
  spec,
  databases: Object.values(status.currentSubStateDetails.dbDetails).map(
    ({ databaseName: name, migrationOperation: phase }) => ({ name, phase }),
  ),
});
