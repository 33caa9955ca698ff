/** The operations of the resource, under the names of Pulumi's dynamic provider. */
export { check } from "./check.js";
export { create, confirmCreated } from "./create.js";
export { remove } from "./delete.js";
export { diff, type DiffAnswer } from "./diff.js";
export { MigrationIncompleteError } from "./reach-goal.js";
export { read } from "./read.js";
export type { Outputs } from "./state.js";
export { createAgain, update } from "./update.js";
