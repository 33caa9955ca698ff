// Writes the files of the worker's image, without Node.js, and their SBOM:
//
//   node provider/build-image.mjs /image/app
//
// Packages are bundled, so the image has none that only the resource needs.
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import process from "node:process";
import { fileURLToPath, URL } from "node:url";
import { build } from "esbuild";
import { buildBundles } from "./bundles.mjs";

const provider = fileURLToPath(new URL(".", import.meta.url));
const app = resolve(process.argv[2]);
const readJson = (file) => JSON.parse(readFileSync(file, "utf8"));

const { name, version, license } = readJson(join(provider, "package.json"));
mkdirSync(app, { recursive: true });
writeFileSync(join(app, "package.json"), JSON.stringify({ name, version, license }));
cpSync(join(provider, "bin"), join(app, "bin"), { recursive: true });
const metafile = await buildBundles(join(app, "dist/bundles"), { external: [], minifyWhitespace: true });

// The embedded pg_dump: its thread, and of its package only what this thread loads.
const dumpPackage = "@electric-sql/pglite-tools";
await build({
  entryPoints: [join(provider, "src/schema/dump/wasm-dump-worker.ts")],
  outdir: join(app, "dist/schema/dump"),
  bundle: true,
  platform: "node",
  target: "node20.19",
  external: [dumpPackage],
  logLevel: "warning",
});
const dumpFolder = packageFolder(createRequire(import.meta.url).resolve(`${dumpPackage}/pg_dump`));
cpSync(dumpFolder, join(app, "node_modules", dumpPackage), {
  recursive: true,
  filter: (file) => !/\.(map|cjs|d\.ts|cts)$/.test(file),
});

const bundled = Object.keys(metafile.inputs)
  .filter((input) => input.includes("node_modules/"))
  .map((input) => packageFolder(join(provider, input)));
writeFileSync(join(app, "sbom.cdx.json"), JSON.stringify(sbomOf(new Set([...bundled, dumpFolder])), undefined, 1));

/** The folder of the package that contains a file. Some packages have a nameless package.json in inner folders. */
function packageFolder(file) {
  const folder = dirname(file);
  const manifest = join(folder, "package.json");
  return existsSync(manifest) && readJson(manifest).version !== undefined ? folder : packageFolder(folder);
}

/** CycloneDX from npm, reduced to the packages in the image, with Node.js. */
function sbomOf(folders) {
  const all = JSON.parse(
    execFileSync("npm", ["sbom", "--sbom-format", "cyclonedx", "--package-lock-only"], {
      cwd: resolve(provider, ".."),
      encoding: "utf8",
      maxBuffer: 2 ** 28,
    }),
  );
  // A package may be installed in several folders.
  const wanted = new Set([...folders].map((folder) => purlOf(readJson(join(folder, "package.json")))));
  const components = [...wanted].map((purl) => {
    const found = all.components.find((component) => component.purl === purl);
    if (!found) throw new Error(`npm's SBOM lacks ${purl}`);
    return found;
  });
  const node = process.versions.node;
  components.push({
    ...{ "bom-ref": `node@${node}`, type: "platform", name: "node", version: node },
    purl: `pkg:generic/node@${node}`,
  });
  const component = { "bom-ref": `${name}@${version}`, type: "application", name, version };
  const refs = new Set(components.map((one) => one["bom-ref"]));
  const dependencies = (all.dependencies ?? [])
    .filter(({ ref }) => refs.has(ref))
    .map(({ ref, dependsOn = [] }) => ({ ref, dependsOn: dependsOn.filter((one) => refs.has(one)) }));
  return { ...all, metadata: { ...all.metadata, component }, components, dependencies };
}

function purlOf({ name: packageName, version: packageVersion }) {
  return `pkg:npm/${packageName.replace("@", "%40")}@${packageVersion}`;
}
