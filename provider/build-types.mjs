// Copies the declarations that index.d.ts and the runners need into dist/types. The package ships only these.
import { copyFileSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath, URL } from "node:url";

const dist = fileURLToPath(new URL("dist", import.meta.url));
const types = join(dist, "types");
const copied = new Set();

function copy(file) {
  if (copied.has(file)) return;
  copied.add(file);
  const copyPath = join(types, relative(dist, file));
  mkdirSync(dirname(copyPath), { recursive: true });
  copyFileSync(file, copyPath);
  for (const [, path] of readFileSync(file, "utf8").matchAll(/(?:from|import\()\s*"(\.[^"]+)"/g))
    copy(join(dirname(file), path.replace(/\.js$/, ".d.ts")));
}

rmSync(types, { recursive: true, force: true });
for (const entry of ["index", "runners/container-apps", "runners/container-group", "runners/kubernetes"])
  copy(join(dist, `${entry}.d.ts`));
