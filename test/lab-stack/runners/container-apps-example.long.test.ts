import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { MigrationStatus } from "pulumi-pg-migration";
import { Deployment } from "../../../tools/pulumi-host/engine/deployment";
import { exampleConfig } from "../../../tools/pulumi-host/example-config";
import { assertSameContent } from "../../support/content";
import { Lab } from "../../support/lab";
import { AzureServer } from "../azure-stand-in/azure-server";

const identity =
  "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id";
const sourcePasswordUrl = "https://example.vault.azure.net/secrets/source";

describe("examples/container-apps, deployed against a stand-in for Azure", () => {
  let azure: AzureServer;
  let lab: Lab;
  let directory: string;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "container-apps-"));
    lab = await Lab.start();
    azure = await AzureServer.start({
      withDatabases: false,
      vault: { [sourcePasswordUrl]: lab.source.login.password },
    });
  });
  after(async () => {
    await Promise.all([azure.close(), lab.stop()]);
    await rm(directory, { recursive: true, force: true });
  });

  it("starts the job's workers once, migrates, and removes everything", async () => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1), (2)");
    const servers = exampleConfig(lab.source.login, lab.administrator);
    const deployment = new Deployment({
      programDirectory: resolve("examples/container-apps"),
      stack: "dev",
      stateFile: join(directory, "state.json"),
      passphrase: "a passphrase for tests",
      config: {
        ...{ image: "example.azurecr.io/pg-migration:0.1.0", identity, sourcePasswordUrl, resourceManager: azure.url },
        subnetId: "/subscriptions/1/resourceGroups/rg/providers/Microsoft.Network/virtualNetworks/v/subnets/apps",
        ...servers.config,
        ...{ targetSslMode: "Prefer", dbsToMigrate: JSON.stringify([database]) },
      },
      secretConfig: servers.secretConfig,
      providers: azure.providers,
      // azure-native's declarations are 16 MB; `npm run types` reads them.
      environment: { PULUMI_NODEJS_TRANSPILE_ONLY: "true" },
    });
    const up = await deployment.up();
    assert(up.ok, JSON.stringify(up.diagnostics));
    assert.equal((up.outputs.status as unknown as MigrationStatus).state, "Succeeded");
    const [execution] = [...azure.cloud.executions.values()];
    assert.equal(await execution!.finished(), "complete");
    assert.deepEqual(execution!.exitCodes, [0, 0, 0, 0]);
    await assertSameContent(...lab.places(database));

    const again = await deployment.up();
    assert(again.ok, JSON.stringify(again.diagnostics));
    assert.deepEqual([again.summary.create, again.summary.update, again.summary.replace], [0, 0, 0]);
    assert.equal(execution, [...azure.cloud.executions.values()][0], "the job was started again");
    const state = await readFile(join(directory, "state.json"), "utf8");
    for (const secret of [lab.source.login.password, lab.administrator.password, "workspace-key", "stand-in-token"])
      assert(!state.includes(secret), `the state contains ${secret}`);
    assert((await deployment.destroy()).ok);
    assert.deepEqual([...azure.cloud.resources.keys()], []);
  });
});
