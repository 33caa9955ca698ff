// Builds the dashboard's page into dist: its modules without their types, its document, its style and the chart library.
import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath, URL } from "node:url";
import ts from "typescript";

const source = fileURLToPath(new URL("src/dashboard/page", import.meta.url));
const built = fileURLToPath(new URL("dist/dashboard/page", import.meta.url));
const library = join(createRequire(import.meta.url).resolve("uplot"), "..");

mkdirSync(built, { recursive: true });
for (const name of readdirSync(source)) {
  if (/\.(html|css|svg)$/.test(name)) copyFileSync(join(source, name), join(built, name));
  if (!name.endsWith(".ts")) continue;
  const compilerOptions = { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext };
  const { outputText } = ts.transpileModule(readFileSync(join(source, name), "utf8"), { compilerOptions });
  writeFileSync(join(built, name.replace(/\.ts$/, ".js")), outputText);
}
copyFileSync(join(library, "uPlot.iife.min.js"), join(built, "uplot.js"));
copyFileSync(join(library, "uPlot.min.css"), join(built, "uplot.css"));
