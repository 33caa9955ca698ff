import assert from "node:assert/strict";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { UnreachableError } from "../../provider/src/errors";
import { parseInputs } from "../../provider/src/inputs/check-inputs";
import { readAzureServer } from "../../provider/src/platforms/azure-server";
import { azureProblems } from "../../provider/src/validation/servers/azure-target";

const id =
  "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg/providers/Microsoft.DBforPostgreSQL/flexibleServers/prod";

describe("a flexible server as target", () => {
  const gib = 1024 ** 3;
  const good = { storageGib: 128, hasStandby: false, replicas: [] };

  it("needs 1.25 times the storage of the databases", () => {
    assert.deepEqual(azureProblems(id, good, 102 * gib), []);
    const [problem, ...others] = azureProblems(id, good, 103 * gib);
    assert.deepEqual(others, []);
    assert.equal(problem!.code, "PGM-309");
    assert.equal(problem!.remedy, `az postgres flexible-server update --ids ${id} --storage-size 256`);
  });

  it("should have no standby and no read replicas during the copy", () => {
    const problems = azureProblems(id, { ...good, hasStandby: true, replicas: ["reports"] }, gib);
    assert.deepEqual(
      problems.map(({ code }) => code),
      ["PGM-310", "PGM-311"],
    );
    assert.match(problems[0]!.remedy!, /--zonal-resiliency Disabled/);
    assert.match(problems[1]!.remedy!, /flexible-server delete --ids \S+\/flexibleServers\/reports$/);
  });

  it("is known by a complete resource id only", () => {
    const [source, target] = ["s", "t"].map((host) => ({ host, user: "u", password: "p" }));
    const knownId = (targetDbServerResourceId: string): string | undefined =>
      parseInputs({ migrationName: "m", source, target, dbsToMigrate: ["a"], targetDbServerResourceId })
        .targetDbServerResourceId;
    assert.equal(knownId(id), id);
    assert.equal(knownId("t:5432@u"), undefined);
    assert.equal(knownId("/providers/Microsoft.DBforPostgreSQL/flexibleServers/prod"), undefined);
  });

  describe("in Azure Resource Manager", () => {
    let manager: Server;
    let url: string;
    const answers: Record<string, unknown> = {
      [id]: { properties: { storage: { storageSizeGB: 64 }, highAvailability: { mode: "ZoneRedundant" } } },
      [`${id}/replicas`]: { value: [{ name: "reports" }] },
    };

    before(async () => {
      manager = createServer(({ url: path = "", headers }, response) => {
        const answer = headers.authorization === "Bearer token" ? answers[path.split("?")[0]!] : undefined;
        response.writeHead(answer ? 200 : 403).end(JSON.stringify(answer ?? {}));
      });
      await new Promise<void>((resolve) => manager.listen(0, "127.0.0.1", resolve));
      url = `http://127.0.0.1:${(manager.address() as AddressInfo).port}`;
    });

    after(() => void manager.close());

    it("is read with a token", async () =>
      assert.deepEqual(await readAzureServer(`${id}/`, "token", url), {
        storageGib: 64,
        hasStandby: true,
        replicas: ["reports"],
      }));

    it("cannot be read without permission", () => assert.rejects(readAzureServer(id, "other", url), UnreachableError));
  });
});
