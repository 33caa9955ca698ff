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

await build({
  entryPoints: { worker: "src/worker/main.ts", command: "src/cli/main.ts" },
  absWorkingDir: fileURLToPath(new URL(".", import.meta.url)),
  outdir: "dist/bundles",
  bundle: true,
  platform: "node",
  target: "node20.19",
  // Optional packages, which may be absent, and the WASM engine, which finds its file beside its module.
  external: [
    ...["pg-native", "@opentelemetry/*", "@azure/identity", "@aws-sdk/rds-signer", "google-auth-library"],
    ...["@electric-sql/pglite-tools", "@pulumi/*"],
  ],
  plugins: [originalFolders],
  logLevel: "warning",
});
