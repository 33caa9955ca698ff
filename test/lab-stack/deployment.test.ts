import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { MigrationStatus } from "pulumi-pg-migration";
import { Deployment } from "../../examples/host/deployment";
import type { OperationResult } from "../../examples/host/host";
import { createAdventureWorks } from "../../examples/adventureworks/create-adventureworks";
import { makeVpnCertificates } from "../../lab-stack/certificates/vpn-certificates";
import type { RawLabConfig } from "../../lab-stack/lab-config";
import { assertSameContent } from "../support/content";
import { EmbeddedServer } from "../support/embedded-server";
import { AzureServer } from "./azure-stand-in/azure-server";
import { at } from "./azure-stand-in/properties";

const database = "adventureworks";
/** 68 tables and two materialized views. */
const relations = 70;
const administratorPassword = "Given-Passw0rd-4711";

describe("lab-stack: deployed against a stand-in for Azure", function () {
  this.timeout(110_000);
  let azure: AzureServer;
  let source: EmbeddedServer;
  let directory: string;
  let rootCertificate: string;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "lab-stack-"));
    rootCertificate = (await makeVpnCertificates([])).root.certificate;
    azure = await AzureServer.start({ withDatabases: true });
    source = await EmbeddedServer.start({ major: 14, parameters: { wal_level: "logical" } });
    await source.query(`CREATE DATABASE ${database}`);
    await createAdventureWorks({ ...source.login, database }, { scale: 0.01 });
  });
  after(async () => {
    await Promise.all([azure.close(), source.stop()]);
    await rm(directory, { recursive: true, force: true });
  });

  // A test that fails half-way leaves a migration's worker behind.
  afterEach(async () => {
    if (azure.cloud.resources.size === 0) return;
    await deployment({ phase: "run", protectData: false }).up();
    await deployment({ phase: "run", protectData: false }).destroy();
  });

  const migration = (): NonNullable<RawLabConfig["migration"]> => ({
    source: { host: source.login.host, port: source.port, user: source.login.user },
    databases: [database],
    mode: "Online",
    targetBy: "address",
    targetSslMode: "Prefer",
  });

  function deployment(changes: Partial<RawLabConfig> = {}): Deployment {
    const config: RawLabConfig = {
      resourceManager: azure.url,
      server: { administratorLogin: "pgadmin" },
      parameters: { isSource: true },
      vpn: { rootCertificate },
      migration: migration(),
      ...changes,
    };
    const given = Object.entries(config).filter(([, value]) => value !== undefined);
    const texts = given.map(([key, value]) => [key, typeof value === "object" ? JSON.stringify(value) : String(value)]);
    return new Deployment({
      programDirectory: resolve("lab-stack"),
      stack: "dev",
      stateFile: join(directory, "state.json"),
      passphrase: "a passphrase for tests",
      config: Object.fromEntries(texts) as Record<string, string>,
      secretConfig: { sourcePassword: source.login.password, administratorPassword },
      providers: azure.providers,
    });
  }

  // One test, since a migration under way is something left behind.
  it("up, refresh, cutover, phase run and destroy, with AdventureWorks migrated online into the server", async () => {
    const up = succeeded(await deployment().up());
    const [running] = [...azure.cloud.servers.values()];
    const { address, database: server } = running!;
    assert.equal(up.outputs.privateAddress, address);
    assert.equal(up.outputs.administratorPassword, "[secret]");
    assert.equal(statusIn(up).state, "WaitingForUserAction");
    assert.deepEqual(await server.query("SHOW wal_level"), [{ wal_level: "logical" }]);
    assert.deepEqual(await server.query("SHOW max_replication_slots"), [{ max_replication_slots: "20" }]);
    assert.equal(azure.cloud.restarts.length, 1);
    await assertStateKeepsSecretsAndProtects();

    const refreshed = succeeded(await deployment().refresh());
    assert.equal(refreshed.summary.delete, 0);
    const created = azure.cloud.changes.length;

    await source.query(
      "INSERT INTO humanresources.department VALUES (17, 'Logistics', 'Inventory Management', DEFAULT)",
      { database },
    );
    const cutOver = succeeded(await deployment({ migration: { ...migration(), triggerCutover: true } }).up());
    assert.equal(statusIn(cutOver).state, "Succeeded");
    assert.equal(azure.cloud.changes.length, created, "a cutover changes nothing on Azure");
    const login = { user: "pgadmin", password: administratorPassword };
    const same = () => assertSameContent({ server: source, database }, { server, database, login });
    assert.equal(await same(), relations);

    succeeded(await deployment({ phase: "run", protectData: false }).up());
    const changes = azure.cloud.changes.slice(created).map(({ method, id }) => `${method} ${id.split("/").at(-1)!}`);
    assert.deepEqual(changes.sort(), [
      "delete azure.enable_temp_tablespaces_on_local_ssd",
      "delete snet-pglab-dev-runner",
      "update psql-pglab-dev",
    ]);
    assert.equal(at(azure.cloud.the("dbforpostgresql:Server").inputs, "highAvailability.mode"), "ZoneRedundant");
    assert.equal(await same(), relations);

    succeeded(await deployment({ phase: "run", protectData: false }).destroy());
    assert.deepEqual([...azure.cloud.resources.keys()], []);
    assert.match(azure.cloud.changes.at(-1)!.id, /\/resourceGroups\/rg-pglab-dev$/);
  });

  it("other topologies: up, a change, destroy", async () => {
    const firewallRules = [{ name: "office", start: "198.51.100.7", end: "198.51.100.7" }];
    const endpoint = { topology: "privateEndpoint", protectData: false, migration: undefined } as const;
    succeeded(await deployment(endpoint).up());
    assert.equal([...azure.cloud.servers.values()].length, 1);
    succeeded(await deployment(endpoint).destroy());
    const open = { topology: "public", protectData: false, vpn: {}, migration: undefined } as const;
    succeeded(await deployment({ ...open, firewallRules }).up());
    const moved = firewallRules.map((rule) => ({ ...rule, end: "198.51.100.9" }));
    succeeded(await deployment({ ...open, firewallRules: moved }).up());
    assert.equal(azure.cloud.the("dbforpostgresql:FirewallRule").inputs.endIpAddress, "198.51.100.9");
    succeeded(await deployment({ ...open, firewallRules: moved }).destroy());
    assert.deepEqual([...azure.cloud.resources.keys()], []);
  });

  it("a preview refuses an impossible route, naming the key and the reason", async () => {
    const impossible = { topology: "public", vpn: {}, migration: { ...migration(), engine: "azure" } } as const;
    const result = await deployment(impossible).preview();
    assert.equal(result.ok, false);
    assert.match(JSON.stringify(result.diagnostics), /topology: a public target and a source in a private network/);
    assert.equal(azure.cloud.resources.size, 0);
  });

  async function assertStateKeepsSecretsAndProtects(): Promise<void> {
    const text = await readFile(join(directory, "state.json"), "utf8");
    assert(!text.includes(administratorPassword) && !text.includes(source.login.password));
    const kept = JSON.parse(text) as { resources: { type: string; protect?: boolean }[] };
    const protectedTypes = kept.resources.filter(({ protect }) => protect).map(({ type }) => type);
    assert.deepEqual(protectedTypes.sort(), [
      "azure-native:dbforpostgresql:Server",
      "azure-native:resources:ResourceGroup",
    ]);
  }
});

const statusIn = (result: OperationResult): MigrationStatus => result.outputs.migration as unknown as MigrationStatus;

function succeeded(result: OperationResult): OperationResult {
  const errors = result.diagnostics.filter(({ severity }) => severity === "error");
  assert.equal(result.ok, true, JSON.stringify(errors, null, 1));
  return result;
}
