// Builds the dashboard's page into dist: its modules without their types, its document, its style and the chart library.
import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, join } from "node:path";
import { fileURLToPath, URL } from "node:url";
import ts from "typescript";

const source = fileURLToPath(new URL("src/dashboard/page", import.meta.url));
const built = fileURLToPath(new URL("dist/dashboard/page", import.meta.url));
const library = join(createRequire(import.meta.url).resolve("uplot"), "..");

/** Modules that the page shares with the command; what they import is types only, or another of these. */
const shared = ["byte-size.ts", "database-facts.ts", "duration.ts", "grid-columns.ts", "phases.ts", "status.ts"];

function transpile(path) {
  const compilerOptions = { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext };
  const { outputText } = ts.transpileModule(readFileSync(path, "utf8"), { compilerOptions });
  writeFileSync(join(built, basename(path).replace(/\.ts$/, ".js")), outputText);
}

mkdirSync(built, { recursive: true });
for (const name of readdirSync(source)) {
  if (/\.(html|css|svg)$/.test(name)) copyFileSync(join(source, name), join(built, name));
  else if (name.endsWith(".ts")) transpile(join(source, name));
}
// The page has no folder above it: there `../../status.js` is `/status.js`.
for (const name of shared) transpile(join(source, "../..", name));
copyFileSync(join(library, "uPlot.iife.min.js"), join(built, "uplot.js"));
copyFileSync(join(library, "uPlot.min.css"), join(built, "uplot.css"));
