import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { MigrationStatus } from "pulumi-pg-migration";
import { Deployment } from "../../../tools/pulumi-host/engine/deployment";
import { assertSameContent } from "../../support/content";
import { EmbeddedServer } from "../../support/servers/embedded-server";
import { errorsOf } from "../../support/pulumi-cli";
import { AzureServer } from "../azure-stand-in/azure-server";
import type { RunningServer } from "../azure-stand-in/flexible-servers";

const targetPassword = "Given-Passw0rd-4711";

describe("examples/azure-server, deployed against a stand-in for Azure", () => {
  let azure: AzureServer;
  let source: EmbeddedServer;
  let directory: string;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "azure-server-"));
    azure = await AzureServer.start({ withDatabases: true });
    source = await EmbeddedServer.start({ major: 14 });
    await source.query("CREATE DATABASE shop");
    await source.query("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 100)", {
      database: "shop",
    });
  });

  after(async () => {
    await Promise.all([azure.close(), source.stop()]);
    await rm(directory, { recursive: true, force: true });
  });

  const deployment = (targetAddress?: string): Deployment =>
    new Deployment({
      programDirectory: resolve("examples/azure-server"),
      stack: "dev",
      stateFile: join(directory, "state.json"),
      passphrase: "a passphrase for tests",
      config: {
        serverName: "psql-shop",
        runnerAddress: "198.51.100.7",
        sourceHost: source.login.host,
        sourcePort: String(source.port),
        sourceUser: source.login.user,
        targetSslMode: "Prefer",
        dbsToMigrate: '["shop"]',
        ...(targetAddress === undefined ? {} : { targetAddress }),
      },
      secretConfig: { sourcePassword: source.login.password, targetPassword },
      providers: azure.providers,
      // azure-native's declarations are 16 MB; `npm run types` reads them.
      environment: { PULUMI_NODEJS_TRANSPILE_ONLY: "true" },
    });

  it("previews with unknown values, creates and fills the server, and destroys both", async () => {
    const preview = await deployment().preview();
    assert(preview.ok, JSON.stringify(preview.diagnostics));
    assert.equal(azure.cloud.resources.size, 0);
    // The stand-in's host name does not resolve: the server exists, and the migration reports the failed connection.
    const halfway = await deployment().up();
    assert.match(errorsOf(halfway), /603000: pgadmin@psql-shop\.postgres\.database\.azure\.com/);
    const [{ address, database: server }] = [...azure.cloud.servers.values()] as [RunningServer];
    const up = await deployment(address).up();
    assert(up.ok, JSON.stringify(up.diagnostics));
    assert.equal((up.outputs.status as unknown as MigrationStatus).state, "Succeeded");
    assert.equal((up.outputs.connection as { host: string }).host, address);
    const login = { user: "pgadmin", password: targetPassword };
    await assertSameContent({ server: source, database: "shop" }, { server, database: "shop", login });
    assert((await deployment(address).destroy()).ok);
    assert.deepEqual([...azure.cloud.resources.keys()], []);
  });
});
