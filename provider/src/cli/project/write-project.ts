import { mkdir, mkdtemp, readdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { InvalidInputError, messageOf } from "../../errors.js";
import { enumerate } from "../../units/enumerate.js";

/** @throws InvalidInputError naming the files of a directory that is not empty. Git's own folder may exist. */
export async function requireEmpty(directory: string): Promise<void> {
  const found = (await readdir(directory).catch(ifAbsent)).filter((name) => name !== ".git").sort();
  if (found.length === 0) return;
  const reason = `${directory} is not empty: it contains ${enumerate(found)}; pass an empty or new directory`;
  throw new InvalidInputError([{ property: "directory", reason }]);
}

function ifAbsent(error: NodeJS.ErrnoException): string[] {
  if (error.code === "ENOENT") return [];
  throw new InvalidInputError([{ property: "directory", reason: messageOf(error) }]);
}

/**
 * Writes all files, or none: they are complete in a temporary folder before any gets its place.
 *
 * @throws InvalidInputError if the directory is not empty, or cannot be written
 */
export async function writeProject(directory: string, files: ReadonlyMap<string, string>): Promise<void> {
  await requireEmpty(directory);
  let created: string | undefined;
  let stage: string | undefined;
  const placed: string[] = [];
  try {
    created = await mkdir(directory, { recursive: true });
    stage = await mkdtemp(join(directory, ".pg-migration-"));
    for (const [name, text] of files) await writeFile(join(stage, name), text);
    for (const name of files.keys()) {
      await rename(join(stage, name), join(directory, name));
      placed.push(join(directory, name));
    }
    await rm(stage, { recursive: true });
  } catch (error) {
    for (const path of [...placed, stage, created])
      if (path !== undefined) await rm(path, { recursive: true, force: true });
    throw new InvalidInputError([{ property: "directory", reason: messageOf(error) }]);
  }
}
