import assert from "node:assert/strict";
import { RefusedError, TakenOverError } from "../../../provider/src/errors";
import { HelperWatch } from "../../../provider/src/worker/comparison/helper-watch";
import { until } from "../../support/until";

describe("the watch on the helpers of a comparison", () => {
  /** @returns the number of looks */
  const watching = (failure: Error): { readonly watch: HelperWatch; readonly looks: () => number } => {
    let looks = 0;
    const takeBack = () => (++looks === 1 ? Promise.reject(failure) : Promise.resolve([]));
    const watch = new HelperWatch(
      { signal: new AbortController().signal } as never,
      { database: "crm", occasion: "cutover", snapshotId: "1-1-1" },
      { others: () => Promise.resolve([]), takeBack } as never,
    );
    return { watch, looks: () => looks };
  };

  it("continues after an error of the server", async () => {
    const { watch, looks } = watching(new RefusedError("out of memory"));
    await until("it looks again", () => looks() > 1);
    await watch.close();
  });

  it("ends when another worker has the lease", async () => {
    const { watch, looks } = watching(new TakenOverError("another worker leads"));
    await new Promise((resolve) => setTimeout(resolve, 700));
    await watch.close();
    assert.equal(looks(), 1);
  });
});
