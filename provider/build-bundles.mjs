import { buildBundles, optionalPackages } from "./bundles.mjs";

await buildBundles("dist/bundles", { external: optionalPackages });
