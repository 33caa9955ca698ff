import { chmodSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/**
 * Files kept until this process ends: compiled TypeScript, an unpacked Chromium, clusters and binaries to copy from. Also what
 * Playwright and Chromium remove some time after the browser has ended.
 */
const kept =
  /^(tsx-.*|ts-node-.*|node-compile-cache|chromium|playwright.*|\.org\.chromium\..*|al2023|fonts|lib(EGL|GLESv2|vk_swiftshader|vulkan)\.so.*|locales|vk_swiftshader_icd\.json|.*-template-.*|.*-binaries-.*|worker-state)$/;

/**
 * The temporary folder of this process and its children. Tests never meet files of other users or of earlier runs, and
 * every file that a test leaves is found.
 */
export const temporaryFolder = mkdtempSync(join(tmpdir(), "pg-migration-tests-"));
// If root runs the tests, the servers run as another user.
chmodSync(temporaryFolder, 0o755);
process.env.TMPDIR = temporaryFolder;

/** Removes the files that tests left in the temporary folder, and returns their names. */
export function takeLeftFiles(): string[] {
  const left = readdirSync(temporaryFolder).filter((name) => !kept.test(name));
  for (const name of left) rmSync(join(temporaryFolder, name), { recursive: true, force: true });
  return left;
}

export function removeTemporaryFolder(): void {
  rmSync(temporaryFolder, { recursive: true, force: true, maxRetries: 10 });
}
