// Bundles the worker and the command, each into one file. Reading hundreds of modules takes longer than most commands work.
import { readFileSync } from "node:fs";
import { dirname, relative, sep } from "node:path";
import { fileURLToPath, URL } from "node:url";
import { build } from "esbuild";

const built = fileURLToPath(new URL("src", import.meta.url));

/** Keeps the meaning of `__dirname`, by which modules find the files and processes beside them. */
const originalFolders = {
  name: "original-folders",
  setup({ onLoad }) {
    onLoad({ filter: /\.ts$/ }, ({ path }) => {
      if (!path.startsWith(built + sep)) return undefined;
      const folder = JSON.stringify(`/../${relative(built, dirname(path)).split(sep).join("/")}`);
      return { loader: "ts", contents: readFileSync(path, "utf8").replaceAll("__dirname", `(__dirname + ${folder})`) };
    });
  },
};

/** Packages that a user installs for tokens and traces. The container's image contains them. */
export const optionalPackages = ["@opentelemetry/*", "@azure/identity", "@aws-sdk/rds-signer", "google-auth-library"];

/**
 * Writes the bundles into a folder, and returns esbuild's description of the bundled files. `external` has packages that the
 * bundles load from node_modules. pg-native may be absent, and the WASM engine finds its file beside its module.
 */
export async function buildBundles(outdir, { external, minifyWhitespace = false }) {
  const { metafile } = await build({
    entryPoints: { worker: "src/worker/main.ts", command: "src/cli/main.ts" },
    absWorkingDir: fileURLToPath(new URL(".", import.meta.url)),
    outdir,
    bundle: true,
    metafile: true,
    minifyWhitespace,
    platform: "node",
    target: "node20.19",
    external: ["pg-native", "@electric-sql/pglite-tools", "@pulumi/*", ...external],
    plugins: [originalFolders],
    logLevel: "warning",
  });
  return metafile;
}
