import assert from "node:assert/strict";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { UnreachableError } from "../../provider/src/errors";
import { connect } from "../../provider/src/postgres/connection/connect";
import { parseInputs } from "../../provider/src/inputs/check-inputs";
import { readAzureServer } from "../../provider/src/platforms/azure-server";
import { storageProblems } from "../../provider/src/target-checks/azure-storage";
import { azureProblems, bytesToCopy } from "../../provider/src/validation/servers/azure-target";
import { EmbeddedServer } from "../support/servers/embedded-server";

const id =
  "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg/providers/Microsoft.DBforPostgreSQL/flexibleServers/prod";

const replica = id.replace("prod", "reports");
/** A replica may be in another resource group. */
const other = id.replace("prod", "elsewhere").replace("/rg/", "/rg-other/");

describe("a flexible server as target", () => {
  const gib = 1024 ** 3;
  const good = { storageGib: 128, storageGrows: true, hasStandby: false, replicas: [] };

  it("needs 1.25 times the storage of the databases", () => {
    assert.deepEqual(azureProblems(id, good, 102 * gib), []);
    const [problem, ...others] = azureProblems(id, good, 103 * gib);
    assert.deepEqual(others, []);
    assert.equal(problem!.code, "PGM-309");
    assert.equal(problem!.remedy, `az postgres flexible-server update --ids ${id} --storage-size 256`);
  });

  it("should have no standby and no read replicas during the copy", () => {
    const problems = azureProblems(id, { ...good, hasStandby: true, replicas: [replica, other] }, gib);
    assert.deepEqual(
      problems.map(({ code }) => code),
      ["PGM-310", "PGM-311"],
    );
    assert.match(problems[0]!.remedy!, /--zonal-resiliency Disabled/);
    assert.match(problems[1]!.message, /: reports, elsewhere$/);
    assert(problems[1]!.remedy!.endsWith(`flexible-server delete --ids ${replica} ${other}`), problems[1]!.remedy);
  });

  it("should have storage that grows automatically after the migration", () => {
    assert.deepEqual(storageProblems(id, good), []);
    const [problem, ...others] = storageProblems(id, { ...good, storageGrows: false });
    assert.deepEqual(others, []);
    assert.equal(problem!.code, "PGM-826");
    assert.equal(problem!.remedy, `az postgres flexible-server update --ids ${id} --storage-auto-grow Enabled`);
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
      [id]: {
        properties: {
          storage: { storageSizeGB: 64, autoGrow: "Enabled" },
          highAvailability: { mode: "ZoneRedundant" },
        },
      },
      [`${id}/replicas`]: { value: [{ id: replica }, { id: other }] },
    };

    /** Answers when as many requests are open. */
    let together: number;
    const open: (() => void)[] = [];

    before(async () => {
      manager = createServer(({ url: path = "", headers }, response) => {
        const answer = headers.authorization === "Bearer token" ? answers[path.split("?")[0]!] : undefined;
        open.push(() => response.writeHead(answer ? 200 : 403).end(JSON.stringify(answer ?? {})));
        if (open.length >= together) for (const reply of open.splice(0)) reply();
      });
      await new Promise<void>((resolve) => manager.listen(0, "127.0.0.1", resolve));
      url = `http://127.0.0.1:${(manager.address() as AddressInfo).port}`;
    });

    after(() => void manager.close());

    const read = (token: string, signal: AbortSignal): ReturnType<typeof readAzureServer> =>
      readAzureServer(`${id}/`, { token, signal, endpoint: url });

    it("is read with a token, by requests that run at the same time", async () => {
      together = 2;
      assert.deepEqual(await read("token", AbortSignal.timeout(10_000)), {
        storageGib: 64,
        storageGrows: true,
        hasStandby: true,
        replicas: [replica, other],
      });
    });

    it("cannot be read without permission", async () => {
      together = 1;
      await assert.rejects(read("other", AbortSignal.timeout(10_000)), UnreachableError);
    });

    it("is not awaited for longer than the signal allows", async () => {
      together = 3;
      await assert.rejects(read("token", AbortSignal.timeout(50)), /does not show .*timeout/);
    });
  });

  it("needs storage only for what is copied", async () => {
    const server = await EmbeddedServer.start({ major: 14 });
    const session = await connect({ ...server.login, sslMode: "Disable" }, { database: "postgres", purpose: "test" });
    try {
      await server.query(
        `CREATE TABLE kept (id int); CREATE TABLE log (id int, line text); CREATE INDEX ON log (line);
         INSERT INTO log SELECT i, md5(i::text) FROM generate_series(1, 50000) i; ANALYZE log`,
      );
      const ofLog = await session.query<{ bytes: string }>("SELECT pg_total_relation_size('public.log') AS bytes");
      const everything = { schemaOnly: false, include: {}, exclude: {} };
      const all = await bytesToCopy(session, everything);
      const without = await bytesToCopy(session, { ...everything, exclude: { tables: ["log"] } });
      assert(without < all - 0.9 * Number(ofLog.rows[0]!.bytes), `${without} of ${all} bytes`);
      assert.equal(await bytesToCopy(session, { ...everything, schemaOnly: true }), 0);
    } finally {
      await session.end();
      await server.stop();
    }
  });
});
