import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import ts from "typescript";
import { inputsSchema } from "../../provider/src/inputs/inputs";

const root = resolve(__dirname, "../..");

function markdownFiles(folder: string): string[] {
  return readdirSync(folder).flatMap((name) => {
    if (["node_modules", "dist", ".git"].includes(name)) return [];
    const path = join(folder, name);
    if (statSync(path).isDirectory()) return markdownFiles(path);
    return name.endsWith(".md") ? [path] : [];
  });
}

const blocks = (text: string, language: string): string[] =>
  [...text.matchAll(new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\`$`, "gm"))].map((match) => match[1]!);

describe("the documentation", () => {
  const documents = markdownFiles(root)
    .map((path) => ({ path: path.slice(root.length + 1), text: readFileSync(path, "utf8") }))
    // The API reference is generated: its code blocks are signatures.
    .filter(({ path }) => !path.startsWith("docs/api/"));

  it("shows TypeScript that compiles", () => {
    const programs = documents.flatMap(({ path, text }) =>
      blocks(text, "ts").map((code, index) => ({
        name: join(root, "examples", `${path.replaceAll("/", "-")}-${index}.ts`),
        code,
      })),
    );
    assert(programs.length >= 2);
    assert.deepEqual(compile(new Map(programs.map(({ name, code }) => [name, code]))), []);
  });

  it("explains for every input the effect of a change", () => {
    const page = documents.find(({ path }) => path === "docs/changing-inputs.md")!.text;
    const [, ...rows] = page
      .split(/^\| input /m)[1]!
      .split("\n\n")[0]!
      .split("\n");
    const listed = rows.flatMap((row) => [...row.split("|")[1]!.matchAll(/`(\w+)`/g)].map(([, name]) => name!));
    const setByTheClass = ["engineVersion", "resourceUrn", "dbsToMigratePatterns"];
    const inputs = Object.keys(inputsSchema.shape).filter((name) => !setByTheClass.includes(name));
    assert.deepEqual(
      inputs.filter((name) => !listed.includes(name)),
      [],
      "inputs without a row",
    );
    const values = ["auth", "keep", "drop", "return", "readOnly", "none", "Validate"];
    assert.deepEqual(
      listed.filter((name) => !inputs.includes(name) && !values.includes(name)),
      [],
      "rows without an input",
    );
  });

  it("names existing scripts", () => {
    const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
      scripts: Record<string, string>;
    };
    for (const { path, text } of documents)
      for (const [, script] of text.matchAll(/npm run (?:--silent )?([\w:-]+)/g))
        assert(manifest.scripts[script!], `${path} names npm run ${script}`);
  });

  it("links to existing files", () => {
    for (const { path, text } of documents)
      for (const [, target] of text.matchAll(/\]\((?!https?:|#)([^)#]+)/g))
        assert(existsSync(join(root, dirname(path), target!)), `${path} links to ${target}`);
  });
});

/** Errors of the compiler for programs in memory, with the project's strict options. */
function compile(programs: ReadonlyMap<string, string>): string[] {
  const config: unknown = ts.readConfigFile(join(root, "tsconfig.json"), (path) => readFileSync(path, "utf8")).config;
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root);
  const host = ts.createCompilerHost(options);
  const readFile = host.readFile.bind(host);
  const fileExists = host.fileExists.bind(host);
  const getSourceFile = host.getSourceFile.bind(host);
  host.readFile = (name) => programs.get(name) ?? readFile(name);
  host.fileExists = (name) => programs.has(name) || fileExists(name);
  host.getSourceFile = (name, version) => {
    const code = programs.get(name);
    return code === undefined ? getSourceFile(name, version) : ts.createSourceFile(name, code, version);
  };
  const program = ts.createProgram([...programs.keys()], { ...options, noUnusedLocals: false }, host);
  return ts
    .getPreEmitDiagnostics(program)
    .map(({ file, messageText }) => `${file?.fileName ?? ""}: ${ts.flattenDiagnosticMessageText(messageText, "\n")}`);
}
