import { InstalledPackage } from "./installed-package";

describe("the npm package", () => {
  const npmPackage = new InstalledPackage();

  for (const [module, moduleResolution] of [
    ["node16", "node16"],
    ["nodenext", "nodenext"],
    ["esnext", "bundler"],
  ] as const)
    it(`type-checks under moduleResolution ${moduleResolution} with skipLibCheck false`, () =>
      npmPackage.typeCheck(module, moduleResolution));
});
