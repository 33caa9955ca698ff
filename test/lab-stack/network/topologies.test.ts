import assert from "node:assert/strict";
import * as pulumi from "@pulumi/pulumi";
import { makeVpnCertificates } from "../../../lab-stack/vpn/vpn-certificates";
import { at } from "../azure-stand-in/properties";
import { MockedLab, valueOf } from "../mocks/mocked-lab";
import { MockedManager } from "../mocks/mocked-manager";

const subnetTag = "network:Subnet";

describe("lab-stack: resources of each topology", () => {
  let manager: MockedManager;
  let common: Record<string, unknown>;
  before(async () => {
    manager = await MockedManager.start();
    const { root } = await makeVpnCertificates([]);
    common = { resourceManager: manager.url, vpn: { rootCertificate: root.certificate } };
  });
  after(() => manager.close());

  const subnet = (lab: MockedLab, name: string) => {
    const found = lab.all(subnetTag).find((inputs) => inputs.subnetName === name);
    assert(found, `the subnet ${name} was not declared`);
    return found;
  };

  describe("private", () => {
    let lab: MockedLab;
    before(async () => {
      const migration = {
        source: { host: "192.168.1.10", user: "postgres" },
        databases: ["adventureworks"],
        mode: "Online",
      };
      const raw = {
        ...common,
        migration,
        parameters: { extensions: ["tablefunc", "uuid-ossp", "pgaudit"], isSource: true },
      };
      lab = await MockedLab.declare(raw, { sourcePassword: "source-secret" });
    });

    it("delegates the server's subnet, and the resolver's", () => {
      const delegation = (name: string) => at(subnet(lab, name), "delegations.0.serviceName");
      assert.equal(delegation("snet-pglab-dev-server"), "Microsoft.DBforPostgreSQL/flexibleServers");
      assert.equal(delegation("snet-pglab-dev-resolver"), "Microsoft.Network/dnsResolvers");
      assert.equal(delegation("GatewaySubnet"), undefined);
      assert.equal(subnet(lab, "snet-pglab-dev-runner").addressPrefix, "10.0.3.0/24");
      assert.equal(lab.all(subnetTag).length, 4);
    });

    it("puts the server into its subnet and zone, without a standby", () => {
      const server = lab.the("dbforpostgresql:Server");
      assert.deepEqual(server.network, {
        delegatedSubnetResourceId: "/ids/snet-pglab-dev-server",
        privateDnsZoneArmResourceId: "/ids/pdns-pglab-dev",
      });
      assert.equal(at(server, "highAvailability.mode"), "Disabled");
      assert.deepEqual(server.storage, { storageSizeGB: 128, autoGrow: "Enabled" });
      assert.equal(server.version, "17");
      assert(!lab.has("dbforpostgresql:FirewallRule"));
    });

    it("links a zone with a name that Azure accepts", () => {
      assert.equal(lab.the("privatedns:PrivateZone").privateZoneName, "pglab-dev.private.postgres.database.azure.com");
      const link = lab.the("privatedns:VirtualNetworkLink");
      assert.deepEqual(link.virtualNetwork, { id: "/ids/vnet-pglab-dev" });
      assert.equal(link.registrationEnabled, false);
      assert.equal(link.location, "Global");
    });

    it("sets parameters one after another, then restarts the server", () => {
      const parameters = lab.all("dbforpostgresql:Configuration").map((one) => [one.configurationName, one.value]);
      assert.deepEqual(Object.fromEntries(parameters), {
        "azure.extensions": "PGAUDIT,TABLEFUNC,UUID-OSSP",
        shared_preload_libraries: "pg_cron,pg_stat_statements,pgaudit",
        wal_level: "logical",
        max_replication_slots: "20",
        max_wal_senders: "20",
        max_worker_processes: "24",
        "azure.enable_temp_tablespaces_on_local_ssd": "off",
      });
      assert.equal(lab.mostAtOnce("dbforpostgresql:Configuration"), 1);
      const order = lab.declared.map(({ type }) => type);
      const restart = lab.declared.find(({ type }) => type === "pulumi-nodejs:dynamic/lab:ServerRestart");
      assert(order.lastIndexOf("azure-native:dbforpostgresql:Configuration") < lab.declared.indexOf(restart!));
      assert.deepEqual(restart!.inputs.onChangeOf, { wal_level: "logical" });
    });

    it("has a VPN gateway with certificate authentication and a resolver for its clients", () => {
      const gateway = lab.the("network:VirtualNetworkGateway");
      assert.deepEqual(gateway.sku, { name: "VpnGw1AZ", tier: "VpnGw1AZ" });
      assert.equal(at(gateway, "ipConfigurations.0.subnet.id"), "/ids/snet-pglab-dev-gateway");
      assert.equal(at(gateway, "vpnClientConfiguration.vpnClientAddressPool.addressPrefixes.0"), "172.16.201.0/24");
      assert.deepEqual(at(gateway, "vpnClientConfiguration.vpnClientProtocols"), ["OpenVPN", "IkeV2"]);
      const data = at(gateway, "vpnClientConfiguration.vpnClientRootCertificates.0.publicCertData");
      assert.match(String(data), /^MII[A-Za-z0-9+/]+=*$/);
      assert.deepEqual(lab.the("network:VirtualNetwork").dhcpOptions, { dnsServers: ["10.0.4.4"] });
      assert.deepEqual(at(lab.the("dnsresolver:InboundEndpoint"), "ipConfigurations.0"), {
        subnet: { id: "/ids/snet-pglab-dev-resolver" },
        privateIpAllocationMethod: "Static",
        privateIpAddress: "10.0.4.4",
      });
      assert.deepEqual(lab.the("network:PublicIPAddress").sku, { name: "Standard", tier: "Regional" });
    });

    it("declares the migration with its passwords as secrets", async () => {
      const migration = lab.declared.find(({ type }) => type.endsWith(":PgMigration"))!;
      // Pulumi wraps a property that contains a secret.
      assert.equal(at(migration.inputs, "target.value.host"), "psql.postgres.database.azure.com");
      assert.equal(at(migration.inputs, "target.value.password"), "Generated1");
      assert.equal(at(migration.inputs, "source.value.host"), "192.168.1.10");
      assert.equal(await pulumi.isSecret(lab.lab.administratorPassword), true);
      assert.equal(await pulumi.isSecret(lab.lab.connectionStrings), true);
      assert.equal(await valueOf(lab.lab.administratorPassword), "Generated1");
    });

    it("outputs the server's address and the preparation of the source", async () => {
      assert.equal(await valueOf(lab.lab.privateAddress!), "10.0.1.4");
      const source = await valueOf(lab.lab.source);
      assert.match(source.walLevel.join("\n"), /wal_level = 'logical'/);
    });

    it("tags every resource that supports tags", () => {
      const untagged = ["Subnet", "Configuration", "PrivateDnsZoneGroup"];
      for (const { type, name, inputs } of lab.declared.filter(({ type: one }) => one.startsWith("azure-native:"))) {
        if (untagged.includes(type.split(":").at(-1)!)) continue;
        assert.deepEqual(inputs.tags, { "managed-by": "pulumi", project: "lab", stack: "dev" }, name);
      }
    });
  });

  describe("public", () => {
    it("has firewall rules instead of a zone, a VPN and a resolver", async () => {
      const firewallRules = [
        { name: "office", start: "198.51.100.7", end: "198.51.100.7" },
        { name: "home", start: "198.51.100.9", end: "198.51.100.9" },
      ];
      const lab = await MockedLab.declare({ ...common, topology: "public", firewallRules });
      assert.deepEqual(lab.the("dbforpostgresql:Server").network, { publicNetworkAccess: "Enabled" });
      assert.deepEqual(
        lab.all("dbforpostgresql:FirewallRule").map((rule) => [rule.firewallRuleName, rule.startIpAddress]),
        [
          ["office", "198.51.100.7"],
          ["home", "198.51.100.9"],
        ],
      );
      for (const absent of ["privatedns:PrivateZone", "network:VirtualNetworkGateway", "dnsresolver:DnsResolver"])
        assert(!lab.has(absent), absent);
      const absent = ["privateAddress", "vpnGateway", "migration"].filter((output) => output in lab.lab);
      assert.deepEqual(absent, [], "Pulumi warns about an undefined output");
    });
  });

  describe("privateEndpoint", () => {
    it("puts an endpoint into a subnet without delegation, with the zone that Azure prescribes", async () => {
      const lab = await MockedLab.declare({ ...common, topology: "privateEndpoint" });
      assert.deepEqual(lab.the("dbforpostgresql:Server").network, { publicNetworkAccess: "Disabled" });
      assert.equal(lab.the("privatedns:PrivateZone").privateZoneName, "privatelink.postgres.database.azure.com");
      const endpoint = lab.the("network:PrivateEndpoint");
      assert.deepEqual(at(endpoint, "privateLinkServiceConnections.0.groupIds"), ["postgresqlServer"]);
      assert.equal(at(endpoint, "subnet.id"), "/ids/snet-pglab-dev-endpoints");
      assert.equal(subnet(lab, "snet-pglab-dev-endpoints").delegations, undefined);
      assert.equal(
        at(lab.the("network:PrivateDnsZoneGroup"), "privateDnsZoneConfigs.0.privateDnsZoneId"),
        "/ids/pdns-pglab-dev",
      );
    });
  });

  describe("phase run", () => {
    it("enables the standby, restores the size, and removes the migration's resources", async () => {
      const raw = {
        ...common,
        phase: "run",
        server: {
          sku: { name: "Standard_D2ds_v5", tier: "GeneralPurpose" },
          migrationSku: { name: "Standard_D8ds_v5", tier: "GeneralPurpose" },
        },
        migration: {
          source: { host: "192.168.1.10", user: "postgres" },
          databases: ["adventureworks"],
          mode: "Online",
        },
      };
      const migrating = await MockedLab.declare({ ...raw, phase: "migrate" }, { sourcePassword: "source-secret" });
      const running = await MockedLab.declare(raw);
      const server = running.the("dbforpostgresql:Server");
      assert.equal(at(migrating.the("dbforpostgresql:Server"), "sku.name"), "Standard_D8ds_v5");
      assert.equal(at(server, "sku.name"), "Standard_D2ds_v5");
      assert.equal(at(server, "highAvailability.mode"), "ZoneRedundant");
      assert(!running.declared.some(({ type }) => type.endsWith(":PgMigration")));
      assert(!running.all(subnetTag).some(({ subnetName }) => subnetName === "snet-pglab-dev-runner"));
      const names = running.all("dbforpostgresql:Configuration").map((one) => one.configurationName);
      assert.deepEqual(names, ["azure.extensions"]);
    });
  });

  it("uses the configured password, Entra administrator and Entra authentication", async () => {
    const tenantId = "11111111-2222-4333-8444-555555555555";
    const raw = {
      ...common,
      vpn: { authentication: "entra", tenantId },
      server: {
        entraAdministrator: { objectId: "99999999-2222-4333-8444-555555555555", principalName: "dba", tenantId },
      },
    };
    const lab = await MockedLab.declare(raw, { administratorPassword: "Given-Passw0rd" });
    assert.equal(await valueOf(lab.lab.administratorPassword), "Given-Passw0rd");
    assert.equal(lab.the("dbforpostgresql:AdministratorsMicrosoftEntra").principalName, "dba");
    assert.equal(at(lab.the("dbforpostgresql:Server"), "authConfig.activeDirectoryAuth"), "Enabled");
    const client = at(lab.the("network:VirtualNetworkGateway"), "vpnClientConfiguration");
    assert.deepEqual(at(client, "vpnClientProtocols"), ["OpenVPN"]);
    assert.equal(at(client, "aadIssuer"), `https://sts.windows.net/${tenantId}/`);
  });
});
