// Builds the dashboard's page into dist: its modules without their types, its document, its style and the chart library.
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, relative } from "node:path";
import { fileURLToPath, URL } from "node:url";
import ts from "typescript";

const source = fileURLToPath(new URL("src/dashboard/page", import.meta.url));
const built = fileURLToPath(new URL("dist/dashboard/page", import.meta.url));
const library = join(createRequire(import.meta.url).resolve("uplot"), "..");

/** Transpiles a module, and returns the paths of the modules outside the page that it needs at run time. */
function transpile(path, to) {
  const compilerOptions = { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext };
  const { outputText } = ts.transpileModule(readFileSync(path, "utf8"), { compilerOptions });
  mkdirSync(dirname(join(built, to)), { recursive: true });
  writeFileSync(join(built, to.replace(/\.ts$/, ".js")), outputText);
  const imported = ts.preProcessFile(outputText).importedFiles.map(({ fileName }) => join(dirname(path), fileName));
  return imported.filter((file) => relative(source, file).startsWith("..")).map((file) => file.replace(/\.js$/, ".ts"));
}

rmSync(built, { recursive: true, force: true });
mkdirSync(built, { recursive: true });
/** Modules that the page shares with the command. The loops below append what they find. */
const shared = [];
for (const name of readdirSync(source, { recursive: true })) {
  if (/\.(html|css|svg)$/.test(name)) copyFileSync(join(source, name), join(built, name));
  else if (name.endsWith(".ts")) shared.push(...transpile(join(source, name), name));
}
// The page is served at the root, so that a browser resolves `../../status.js` to `/status.js`.
const done = new Set();
for (const path of shared) {
  if (done.has(path)) continue;
  done.add(path);
  shared.push(...transpile(path, relative(join(source, "../.."), path)));
}
copyFileSync(join(library, "uPlot.iife.min.js"), join(built, "uplot.js"));
copyFileSync(join(library, "uPlot.min.css"), join(built, "uplot.css"));
