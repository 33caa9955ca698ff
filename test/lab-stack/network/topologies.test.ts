import assert from "node:assert/strict";
import * as pulumi from "@pulumi/pulumi";
import { makeVpnCertificates } from "../../../lab-stack/vpn/vpn-certificates";
import { at } from "../azure-stand-in/properties";
import { MockedLab, valueOf } from "../mocks/mocked-lab";
import { MockedManager } from "../mocks/mocked-manager";

const subnetTag = "network:Subnet";

describe("lab-stack: what each topology declares", () => {
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
    assert(found, `there is no subnet ${name}`);
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

    it("puts the server into subnet and zone, without standby, with its sizes", () => {
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

    it("names a zone that Azure accepts, and links it", () => {
      assert.equal(lab.the("privatedns:PrivateZone").privateZoneName, "pglab-dev.private.postgres.database.azure.com");
      const link = lab.the("privatedns:VirtualNetworkLink");
      assert.deepEqual(link.virtualNetwork, { id: "/ids/vnet-pglab-dev" });
      assert.equal(link.registrationEnabled, false);
      assert.equal(link.location, "Global");
    });

    it("sets parameters one after another, the restart last", () => {
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
      assert.equal(lab.parallelParameters, 1);
      const order = lab.declared.map(({ type }) => type);
      const restart = lab.declared.find(({ type }) => type === "pulumi-nodejs:dynamic/lab:ServerRestart");
      assert(order.lastIndexOf("azure-native:dbforpostgresql:Configuration") < lab.declared.indexOf(restart!));
      assert.deepEqual(restart!.inputs.onChangeOf, { wal_level: "logical" });
    });

    it("has a VPN gateway with certificate authentication, whose clients resolve the zone", () => {
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

    it("migrates into the server with secrets kept", async () => {
      const migration = lab.declared.find(({ type }) => type.endsWith(":PgMigration"))!;
      // A property that holds a secret arrives wrapped as one.
      assert.equal(at(migration.inputs, "target.value.host"), "psql.postgres.database.azure.com");
      assert.equal(at(migration.inputs, "target.value.password"), "Generated1");
      assert.equal(at(migration.inputs, "source.value.host"), "192.168.1.10");
      assert.equal(await pulumi.isSecret(lab.lab.administratorPassword), true);
      assert.equal(await pulumi.isSecret(lab.lab.connectionStrings), true);
      assert.equal(await valueOf(lab.lab.administratorPassword), "Generated1");
    });

    it("tells the server's address, and what the source needs", async () => {
      assert.equal(await valueOf(lab.lab.privateAddress!), "10.0.1.4");
      const source = await valueOf(lab.lab.source);
      assert.equal(source.pgHba, "host all postgres 10.0.1.0/24 scram-sha-256");
      assert.match(source.walLevel.join("\n"), /wal_level = 'logical'/);
    });

    it("tags everything that takes tags, and protects what holds data", () => {
      const untagged = ["Subnet", "Configuration", "PrivateDnsZoneGroup"];
      for (const { type, name, inputs } of lab.declared.filter(({ type: one }) => one.startsWith("azure-native:"))) {
        if (untagged.includes(type.split(":").at(-1)!)) continue;
        assert.deepEqual(inputs.tags, { "managed-by": "pulumi", project: "lab", stack: "dev" }, name);
      }
    });
  });

  describe("public", () => {
    it("has firewall rules in place of zone, VPN and resolver", async () => {
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
      assert.equal(lab.lab.privateAddress, undefined);
    });
  });

  describe("privateEndpoint", () => {
    it("puts an endpoint into a subnet that is not delegated, with the zone that Azure prescribes", async () => {
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

  describe("engine azure", () => {
    it("declares Microsoft's service with the same wish", async () => {
      const migration = {
        engine: "azure",
        source: { host: "db.example.com", port: 5433, user: "postgres", network: "public", type: "AWS_RDS" },
        databases: ["adventureworks"],
        mode: "Online",
        triggerCutover: true,
      };
      const lab = await MockedLab.declare({ ...common, migration }, { sourcePassword: "source-secret" });
      const declared = lab.the("dbforpostgresql:Migration");
      assert.equal(declared.sourceDbServerResourceId, "db.example.com:5433@postgres");
      assert.equal(declared.triggerCutover, "True");
      assert.equal(declared.overwriteDbsInTarget, "False");
      assert.equal(declared.sourceType, "AWS_RDS");
      assert(!lab.declared.some(({ type }) => type.endsWith(":PgMigration")));
    });
  });

  describe("phase run", () => {
    it("switches the standby on and the size back, and drops what was for migrating", async () => {
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

  it("takes a password, Entra administrator and Entra authentication where they are given", async () => {
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
