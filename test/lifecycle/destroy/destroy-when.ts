import assert from "node:assert/strict";
import type { MigrationStatus } from "../../../provider/src/status";
import { Resource } from "../../support/resource";
import { until } from "../../support/until";

/** Destroys a migration when its status shows a moment, while `create` in another process still waits for it. */
export async function destroyWhen(
  inputs: Record<string, unknown>,
  what: string,
  isThere: (said: string) => boolean,
  destroy = (other: Resource): Promise<void> => other.destroy(),
): Promise<void> {
  const creating = new Resource();
  const created = Resource.failure(creating.create(inputs));
  const other = new Resource();
  other.outputs = inputs;
  await until(what, async () => {
    const status = (await other.refresh()) as MigrationStatus | undefined;
    if (!status) return false;
    const details = Object.values(status.currentSubStateDetails.dbDetails)[0];
    return isThere(
      `${status.currentSubStateDetails.currentSubState} ${details?.migrationOperation} ${details?.message ?? ""}`,
    );
  });
  await destroy(other);
  assert.match(await created, /was deleted from the target|not recorded/);
}
