import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const folders = new Set<string>();

process.on("exit", () => {
  for (const folder of folders) removeFilesOfServers(folder);
});

/** Creates a folder for files that both servers read and write, where their data is. */
export function filesOfServers(): string {
  const folder = mkdtempSync(join(process.env.PG_MIGRATION_TEST_DATA ?? tmpdir(), "bench-limit-"));
  folders.add(folder);
  // The servers may run as another user.
  chmodSync(folder, 0o777);
  return folder;
}

export function removeFilesOfServers(folder: string): void {
  rmSync(folder, { recursive: true, force: true, maxRetries: 10 });
  folders.delete(folder);
}
