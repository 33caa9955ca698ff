import { join } from "node:path";

/**
 * Arguments of Node.js for a worker process. The limit, in MB, is for new objects, of which Node.js otherwise keeps up to 48 MB
 * before it looks for garbage.
 */
export const workerProgram: readonly string[] = ["--max-semi-space-size=4", join(__dirname, "bundles/worker.js")];
