import { log } from "../log.js";
import { messageOf } from "../errors.js";
import { observe, observedStatus } from "./observe.js";
import { inputsWithin, reportedOutputs, type Properties } from "./state.js";

/** Reports the status in the records, or the last known status if they cannot be read. Never throws. */
export async function read(id: string, props: Properties): Promise<{ id: string; props: Properties }> {
  const inputs = inputsWithin(props);
  if (!inputs) return { id, props };
  try {
    const currentStatus = observedStatus(await observe(inputs, "read"), props);
    return { id, props: currentStatus ? { ...props, ...reportedOutputs(inputs, currentStatus) } : props };
  } catch (error) {
    log.warn(`the migration's status cannot be read: ${messageOf(error)}`);
    return { id, props };
  }
}
