import assert from "node:assert/strict";
import type pg from "pg";
import { Applier, type ApplierOptions } from "../../../provider/src/cdc/apply/applier";
import { readProgress, readTableProgress } from "../../../provider/src/cdc/target/progress";

/** An applier of the migration `m`, whose progress row exists. An ordered batch fails the test. */
export async function openApplier(session: pg.Client, changes: Partial<ApplierOptions> = {}): Promise<Applier> {
  return new Applier(session, {
    migration: "m",
    generation: 1,
    progress: (await readProgress(session, "m"))!,
    tableProgress: await readTableProgress(session, "m"),
    form: "text",
    onOrderedBatch: (reason) => assert.fail(reason),
    ...changes,
  });
}
