import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseInputs } from "../../provider/src/inputs/check-inputs";
import { sourceTypes, inputsSchema } from "../../provider/src/inputs/inputs";
import { defaultSslMode } from "../../provider/src/inputs/resolve-servers";

const page = readFileSync(join(__dirname, "../../docs/azure-artefacts.md"), "utf8");

const server = (host: string) => ({ host, user: "u", password: "p" });
const smallest = { migrationName: "m", source: server("a"), target: server("b"), dbsToMigrate: ["crm"] };

/** Defaults of `az postgres flexible-server migration create`, its templates and the portal. */
const azureDefaults = {
  overwriteDbsInTarget: true,
  waitForConfirmation: true,
  migrationMode: "Offline",
  migrationOption: "ValidateAndMigrate",
  startDataMigration: true,
  setupLogicalReplicationOnSourceDbIfNeeded: false,
  migrateRoles: false,
  triggerCutover: false,
  cancel: false,
};

describe("docs/azure-artefacts.md", () => {
  const rows = page
    .split("## Differences from Azure's defaults")[1]!
    .split("\n")
    .filter((line) => line.startsWith("| `"))
    .map((line) => line.split("|").map((cell) => cell.trim()));
  const documented = new Map(rows.map(([, key, , here]) => [key!.replaceAll("`", ""), here!.replaceAll("`", "")]));

  it("lists each default that differs from Azure's, with the default of the inputs", () => {
    const inputs = parseInputs(smallest);
    for (const [key, azure] of Object.entries(azureDefaults)) {
      const here = inputs[key as keyof typeof azureDefaults];
      assert.equal(documented.get(key), here === azure ? undefined : String(here), key);
    }
    assert.equal(inputs.sourceType, undefined);
  });

  it("names only properties that exist, and the source types whose sslMode differs", () => {
    for (const key of documented.keys()) assert(key in inputsSchema.shape, key);
    const differing = sourceTypes.filter((sourceType) => defaultSslMode({ sourceType }, "source") !== "Prefer");
    const [, , azure] = rows.find(([, key]) => key === "`sslMode`")!;
    assert.equal(azure, `\`VerifyFull\` for ${differing.map((one) => `\`${one}\``).join()}, otherwise \`Prefer\``);
  });
});
