import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { configOf, deployAll, type Server } from "../../examples/automation/deploy-all";
import { assertSameContent } from "../support/content";
import { ProgramScene } from "../support/deploy-program";
import type { Host } from "../../tools/pulumi-host/host";

// The Automation API needs the Pulumi CLI. Here, the embedded host deploys the stacks that deploy-all.ts opens.
describe("examples/automation", () => {
  const scene = new ProgramScene();

  it("deploys one stack per server, and a failed server does not stop the others", async () => {
    const database = await scene.lab.database("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
    const servers: Server[] = [
      { name: "closed", sourceHost: "127.0.0.1", targetHost: "127.0.0.1", dbsToMigrate: ["absent"] },
      { name: "berlin", sourceHost: "127.0.0.1", targetHost: "127.0.0.1", dbsToMigrate: [database] },
    ];
    const hosts = new Map<string, Host>();
    const openStack = async (server: Server) => {
      const folder = join(scene.directory, server.name);
      await mkdir(folder);
      const environment = { SOURCE_PASSWORD: "p", TARGET_PASSWORD: "p" };
      const { dbsToMigrate } = configOf(server, environment);
      const config = { dbsToMigrate: dbsToMigrate!.value };
      const host = scene.deploy("embedded", { program: "examples/automation", config }, folder);
      hosts.set(server.name, host);
      const up = async (): Promise<void> => {
        const { ok, diagnostics } = await host.up();
        if (!ok) throw new Error(diagnostics.map(({ message }) => message).join("\n"));
      };
      return { up };
    };
    const failures = await deployAll(servers, openStack, 1);
    assert.deepEqual([...failures.keys()], ["closed"]);
    assert.match(failures.get("closed")!, /the database does not exist/);
    await assertSameContent(...scene.lab.places(database));
    for (const host of hosts.values()) assert((await host.destroy()).ok);
  });
});
