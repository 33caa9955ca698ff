import { chmodSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Kept until this process ends: compiled TypeScript, an unpacked Chromium, clusters and binaries to copy from. */
const kept =
  /^(tsx-.*|ts-node-.*|node-compile-cache|chromium|al2023|fonts|lib(EGL|GLESv2|vk_swiftshader|vulkan)\.so.*|locales|vk_swiftshader_icd\.json|.*-template-.*|.*-binaries-.*|worker-state)$/;

/**
 * The temporary folder of this process and of all that it starts: no test meets files of other users or of earlier runs,
 * and every file that a test leaves behind is found.
 */
export const temporaryFolder = mkdtempSync(join(tmpdir(), "pg-migration-tests-"));
// The servers of a test run by root run as another user.
chmodSync(temporaryFolder, 0o755);
process.env.TMPDIR = temporaryFolder;

/** The files that tests have left in the temporary folder, which are removed. */
export function takeLeftFiles(): string[] {
  const left = readdirSync(temporaryFolder).filter((name) => !kept.test(name));
  for (const name of left) rmSync(join(temporaryFolder, name), { recursive: true, force: true });
  return left;
}

export function removeTemporaryFolder(): void {
  rmSync(temporaryFolder, { recursive: true, force: true, maxRetries: 10 });
}
