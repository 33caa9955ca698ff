import assert from "node:assert/strict";
import { assertSameContent } from "../../support/content";
import { walkLab, type MigrationSettings } from "../../../tools/acceptance/walk-lab";
import { Checks } from "../../../tools/demo/checks";
import { hostNames } from "../../support/pulumi-cli";
import { at } from "../azure-stand-in/properties";
import { administratorPassword, database, DeployedLab, failed, relations, statusIn, succeeded } from "./deployed-lab";

for (const hostName of hostNames) {
  describe(`lab-stack: deployed against a stand-in for Azure, on the ${hostName} host`, function () {
    // The CLI compiles the program and starts each provider for every operation.
    this.timeout(900_000);
    let lab: DeployedLab;

    before(async () => {
      lab = await DeployedLab.start(hostName);
    });
    beforeEach(() => lab.beginStack());
    afterEach(() => lab.cleanUp());
    after(() => lab.close());

    // One test, because each step needs the state of the previous one.
    it("migrates AdventureWorks online: up, refresh, cutover, phase run, destroy", async () => {
      const { azure, source } = lab;
      const up = succeeded(await lab.deployment().up());
      const [running] = [...azure.cloud.servers.values()];
      const { address, database: server } = running!;
      assert.equal(up.outputs.privateAddress, address);
      assert.equal(up.outputs.administratorPassword, "[secret]");
      assert.equal(statusIn(up).state, "WaitingForUserAction");
      assert.deepEqual(await server.query("SHOW wal_level"), [{ wal_level: "logical" }]);
      assert.deepEqual(await server.query("SHOW max_replication_slots"), [{ max_replication_slots: "20" }]);
      assert.deepEqual(await server.query("SHOW work_mem"), [{ work_mem: "6MB" }], "copied from the source");
      assert.equal(azure.cloud.restarts.length, 1);
      const state = await lab.stateText();
      assert(!state.includes(administratorPassword) && !state.includes(source.login.password));
      const protectedTypes = ["azure-native:dbforpostgresql:Server", "azure-native:resources:ResourceGroup"];
      assert.deepEqual(await lab.protectedTypes(), protectedTypes);

      const refreshed = succeeded(await lab.deployment().refresh());
      assert.equal(refreshed.summary.delete, 0);
      const created = azure.cloud.changes.length;

      await source.query(
        "INSERT INTO humanresources.department VALUES (17, 'Logistics', 'Inventory Management', DEFAULT)",
        { database },
      );
      const cutOver = succeeded(await lab.deployment({ migration: lab.migration({ triggerCutover: true }) }).up());
      assert.equal(statusIn(cutOver).state, "Succeeded");
      assert.equal(azure.cloud.changes.length, created, "a cutover changes no Azure resource");
      const login = { user: "pgadmin", password: administratorPassword };
      const same = () => assertSameContent({ server: source, database }, { server, database, login });
      assert.equal(await same(), relations);

      succeeded(await lab.deployment({ phase: "run", protectData: false }).up());
      assert.equal(at(azure.cloud.the("dbforpostgresql:Server").inputs, "highAvailability.mode"), "ZoneRedundant");
      const changes = azure.cloud.changes.slice(created).map(({ method, id }) => `${method} ${id.split("/").at(-1)!}`);
      assert.deepEqual(changes.sort(), [
        "delete azure.enable_temp_tablespaces_on_local_ssd",
        "delete snet-pglab-dev-runner",
        "update psql-pglab-dev",
      ]);
      assert.equal(await same(), relations);

      succeeded(await lab.deployment({ phase: "run", protectData: false }).destroy());
      assert.deepEqual([...azure.cloud.resources.keys()], []);
      assert.match(azure.cloud.changes.at(-1)!.id, /\/resourceGroups\/rg-pglab-dev$/);
    });

    it("passes the walk of the acceptance script", async () => {
      const checks = new Checks();
      const say = (): void => undefined;
      const deploy = (settings: MigrationSettings) =>
        lab.deployment({ migration: lab.migration(settings), parameters: {} });
      succeeded(await lab.deployment({ migration: undefined, parameters: {} }).up());
      const [running] = [...lab.azure.cloud.servers.values()];
      const source = { ...lab.source.login, database };
      await lab.source.query("DELETE FROM humanresources.department WHERE departmentid = 17", { database });
      await lab.source.query("SELECT setval('humanresources.department_departmentid_seq', 16)", { database });
      const target = { ...running!.database.login, user: "pgadmin", password: administratorPassword, database };
      await walkLab({ deploy, source, target, checks, say });
      assert(checks.ok, checks.table());
      assert.equal(checks.all.length, 12);
    });

    it("keeps a protected public server, and updates it with the next up", async () => {
      const { cloud } = lab.azure;
      const tenantId = "11111111-2222-4333-8444-555555555555";
      const entraAdministrator = { objectId: tenantId, principalName: "dba", tenantId };
      const office = { name: "office", start: "198.51.100.7", end: "198.51.100.7" };
      const open = {
        ...{ topology: "public" as const, vpn: {}, server: { entraAdministrator }, firewallRules: [office] },
        ...{ migration: undefined, parameters: {} },
      };
      const { diagnostics } = succeeded(await lab.deployment(open).up());
      assert.doesNotMatch(JSON.stringify(diagnostics), /Undefined value/);
      assert.match(failed(await lab.deployment(open).destroy()), /protected/);
      assert.equal(cloud.servers.size, 1);
      const moved = { ...open, protectData: false, firewallRules: [{ ...office, end: "198.51.100.9" }] };
      succeeded(await lab.deployment(moved).up());
      assert.equal(cloud.the("dbforpostgresql:FirewallRule").inputs.endIpAddress, "198.51.100.9");
      cloud.the("dbforpostgresql:Configuration");
      succeeded(await lab.deployment(moved).destroy());
      assert.deepEqual([...cloud.resources.keys()], []);
    });

    it("creates and destroys a private endpoint", async () => {
      const { cloud } = lab.azure;
      const migration = undefined;
      const endpoint = { topology: "privateEndpoint", protectData: false, migration, parameters: {} } as const;
      succeeded(await lab.deployment(endpoint).up());
      assert.equal(cloud.servers.size, 1);
      succeeded(await lab.deployment(endpoint).destroy());
      assert.deepEqual([...cloud.resources.keys()], []);
    });

    it("waits for Microsoft's service, which migrates, cuts over, and fails", async () => {
      const { login, port } = lab.source;
      const deployment = (changes: { name?: string; host?: string; triggerCutover?: boolean } = {}) => {
        const { host = login.host, ...others } = changes;
        const source = { host, port, user: login.user, type: "AWS_EC2" as const };
        const migration = lab.migration({ engine: "azure", source, ...others });
        return lab.deployment({ protectData: false, parameters: {}, migration });
      };
      assert.equal(statusIn(succeeded(await deployment().up())).state, "WaitingForUserAction");
      assert.equal(statusIn(succeeded(await deployment({ triggerCutover: true }).up())).state, "Succeeded");
      const failure = failed(await deployment({ name: "another", host: "unreachable.example.com" }).up());
      assert.match(failure, /migration another ended as Failed: 603000: connection to the source failed/);
      succeeded(await deployment({ triggerCutover: true }).destroy());
    });

    it("refuses an impossible route in the preview, with the key and the reason", async () => {
      const migration = lab.migration({ engine: "azure" });
      const text = failed(await lab.deployment({ topology: "public", vpn: {}, parameters: {}, migration }).preview());
      assert.match(text, /topology: Microsoft's service cannot combine a public target/);
      assert.equal(lab.azure.cloud.resources.size, 0);
    });

    it("proposes settings of the source in the preview", async () => {
      const proposed = succeeded(await lab.deployment({ parameters: { fromSource: "propose" } }).preview());
      const warnings = proposed.diagnostics.filter(({ severity }) => severity === "warning");
      const workMem = warnings.map(({ message }) => message).filter((message) => message.includes("work_mem"));
      assert.equal(workMem.length, 1, JSON.stringify(warnings));
      assert.match(
        workMem[0]!,
        /the source has work_mem = 6144 instead of 4096, which changes query plans and speed\. To copy it: pulumi config set/,
      );
      assert(!proposed.operations.some(({ urn }) => urn.endsWith("-work_mem")), "a proposal declares no resource");
    });
  });
}
