// Builds the dashboard's page into dist: its modules without their types, its document, its style and the chart library.
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath, URL } from "node:url";
import ts from "typescript";

const source = fileURLToPath(new URL("src/dashboard/page", import.meta.url));
const built = fileURLToPath(new URL("dist/dashboard/page", import.meta.url));
const library = join(createRequire(import.meta.url).resolve("uplot"), "..");

/** Modules that the page shares with the command; what they import is types only, or another of these. */
const shared = [
  ...["database-facts", "phases"].map((name) => `display/${name}.ts`),
  ...["byte-size", "duration"].map((name) => `units/${name}.ts`),
  "status.ts",
];

function transpile(path, to) {
  const compilerOptions = { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext };
  const { outputText } = ts.transpileModule(readFileSync(path, "utf8"), { compilerOptions });
  mkdirSync(dirname(join(built, to)), { recursive: true });
  writeFileSync(join(built, to.replace(/\.ts$/, ".js")), outputText);
}

rmSync(built, { recursive: true, force: true });
mkdirSync(built, { recursive: true });
for (const name of readdirSync(source, { recursive: true })) {
  if (/\.(html|css|svg)$/.test(name)) copyFileSync(join(source, name), join(built, name));
  else if (name.endsWith(".ts")) transpile(join(source, name), name);
}
// The page is served at the root, so that a browser resolves `../../status.js` to `/status.js`.
for (const name of shared) transpile(join(source, "../..", name), name);
copyFileSync(join(library, "uPlot.iife.min.js"), join(built, "uplot.js"));
copyFileSync(join(library, "uPlot.min.css"), join(built, "uplot.css"));
