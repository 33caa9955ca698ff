// npm packs only files of this folder: README and LICENSE are copied from the repository's root, and removed afterwards.
import { copyFileSync, rmSync } from "node:fs";
import process from "node:process";
import { fileURLToPath, URL } from "node:url";

const path = (name) => fileURLToPath(new URL(name, import.meta.url));

for (const name of ["README.md", "LICENSE"])
  if (process.argv.includes("--remove")) rmSync(path(name), { force: true });
  else copyFileSync(path(`../${name}`), path(name));
