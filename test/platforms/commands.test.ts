import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { sourceTypes } from "../../provider/src/inputs/inputs";
import { parameterCommands, type Platform } from "../../provider/src/platforms/platform";
import { platformOfHost, platformOfType } from "../../provider/src/platforms/platforms";
import { selfManaged } from "../../provider/src/platforms/self-managed";
import { pagePath, sourcePlatformsPage } from "../../tools/source-platforms/page";

const linux = { version: "PostgreSQL 16.2 on x86_64-pc-linux-gnu" };
const wanted = [
  { name: "wal_level", value: "logical" },
  { name: "max_wal_senders", value: "20" },
];
const access = { address: "203.0.113.7/32", port: 5432, role: '"reader"' };

interface Expected {
  /** The commands for logical replication. */
  readonly set: readonly string[];
  /** The commands that let the worker in. */
  readonly allow: readonly string[];
  readonly host: RegExp;
}

const ownSet = [
  "as a superuser: ALTER SYSTEM SET wal_level = logical",
  "ALTER SYSTEM SET max_wal_senders = 20",
  "sudo systemctl restart postgresql",
];
const ownAllow = [
  'add to the file that SHOW hba_file names, before other lines that match: host all,replication "reader" 203.0.113.7/32 scram-sha-256 (md5 before PostgreSQL 10)',
  "SELECT pg_reload_conf()",
  "if SHOW listen_addresses is localhost: ALTER SYSTEM SET listen_addresses = '*', and restart",
  "if ufw is the firewall: sudo ufw allow from 203.0.113.7/32 to any port 5432 proto tcp",
  `if firewalld is: sudo firewall-cmd --permanent --add-rich-rule='rule family="ipv4" source address="203.0.113.7/32" port port="5432" protocol="tcp" accept' && sudo firewall-cmd --reload`,
];

const expected: Readonly<Record<string, Expected>> = {
  OnPremises: {
    set: ownSet,
    allow: ownAllow,
    host: /own address/,
  },
  AWS_RDS: {
    set: [
      "if the server has a default parameter group, which cannot be modified: aws rds create-db-parameter-group --db-parameter-group-name <group> --db-parameter-group-family <family of the version, such as postgres16> --description migration, then aws rds modify-db-instance --db-instance-identifier <instance> --db-parameter-group-name <group> --apply-immediately",
      'aws rds modify-db-parameter-group --db-parameter-group-name <group> --parameters "ParameterName=rds.logical_replication,ParameterValue=1,ApplyMethod=pending-reboot" "ParameterName=max_wal_senders,ParameterValue=20,ApplyMethod=pending-reboot"',
      "aws rds reboot-db-instance --db-instance-identifier <instance>",
    ],
    allow: [
      "aws ec2 authorize-security-group-ingress --group-id <security group of the server> --protocol tcp --port 5432 --cidr 203.0.113.7/32",
    ],
    host: /not that of an RDS Proxy/,
  },
  AWS_AURORA: {
    set: [
      "if the server has a default parameter group, which cannot be modified: aws rds create-db-cluster-parameter-group --db-cluster-parameter-group-name <group> --db-parameter-group-family <family of the version, such as aurora-postgresql16> --description migration, then aws rds modify-db-cluster --db-cluster-identifier <cluster> --db-cluster-parameter-group-name <group> --apply-immediately",
      'aws rds modify-db-cluster-parameter-group --db-cluster-parameter-group-name <group> --parameters "ParameterName=rds.logical_replication,ParameterValue=1,ApplyMethod=pending-reboot" "ParameterName=max_wal_senders,ParameterValue=20,ApplyMethod=pending-reboot"',
      "aws rds reboot-db-instance --db-instance-identifier <writer instance>",
    ],
    allow: [
      "aws ec2 authorize-security-group-ingress --group-id <security group of the server> --protocol tcp --port 5432 --cidr 203.0.113.7/32",
    ],
    host: /writer endpoint/,
  },
  AWS_EC2: {
    set: ownSet,
    allow: [
      ...ownAllow,
      "aws ec2 authorize-security-group-ingress --group-id <security group> --protocol tcp --port 5432 --cidr 203.0.113.7/32",
    ],
    host: /own address/,
  },
  GCP_CloudSQL: {
    set: [
      'read the present values, because the next command resets those that it does not contain: gcloud sql instances describe <instance> --format="json(settings.databaseFlags)"',
      "gcloud sql instances patch <instance> --database-flags=cloudsql.logical_decoding=on,max_wal_senders=20,<present flags>",
    ],
    allow: [
      'read the present values, because the next command resets those that it does not contain: gcloud sql instances describe <instance> --format="json(settings.ipConfiguration.authorizedNetworks)"',
      "gcloud sql instances patch <instance> --authorized-networks=203.0.113.7/32,<present networks>",
    ],
    host: /IP address/,
  },
  GCP_AlloyDB: {
    set: [
      'read the present values, because the next command resets those that it does not contain: gcloud alloydb instances describe <instance> --cluster=<cluster> --region=<region> --format="json(databaseFlags)"',
      "gcloud alloydb instances update <instance> --cluster=<cluster> --region=<region> --database-flags=alloydb.logical_decoding=on,max_wal_senders=20,<present flags>",
    ],
    allow: [
      'read the present values, because the next command resets those that it does not contain: gcloud alloydb instances describe <instance> --cluster=<cluster> --region=<region> --format="json(networkConfig.authorizedExternalNetworks)"',
      "gcloud alloydb instances update <instance> --cluster=<cluster> --region=<region> --authorized-external-networks=203.0.113.7/32,<present networks>",
    ],
    host: /no host name/,
  },
  GCP_Compute: {
    set: ownSet,
    allow: [
      ...ownAllow,
      "gcloud compute firewall-rules create pg-migration --network <network> --direction INGRESS --allow tcp:5432 --source-ranges 203.0.113.7/32",
    ],
    host: /own address/,
  },
  AzureVM: {
    set: ownSet,
    allow: [
      ...ownAllow,
      "az network nsg rule create --resource-group <group> --nsg-name <network security group> --name pg-migration --priority 1000 --protocol Tcp --destination-port-ranges 5432 --source-address-prefixes 203.0.113.7/32",
    ],
    host: /own address/,
  },
  PostgreSQLSingleServer: {
    set: [
      "az postgres server configuration set --resource-group <group> --server-name <server> --name azure.replication_support --value logical",
      "az postgres server restart --resource-group <group> --name <server>",
    ],
    allow: [
      "az postgres server firewall-rule create --resource-group <group> --server-name <server> --name pg-migration --start-ip-address 203.0.113.7 --end-ip-address 203.0.113.7",
    ],
    host: /<role>@<server>/,
  },
  PostgreSQLFlexibleServer: {
    set: [
      "az postgres flexible-server parameter set --resource-group <group> --server-name <server> --name wal_level --value logical",
      "az postgres flexible-server parameter set --resource-group <group> --server-name <server> --name max_wal_senders --value 20",
      "az postgres flexible-server restart --resource-group <group> --name <server>",
    ],
    allow: [
      "az postgres flexible-server firewall-rule create --resource-group <group> --server-name <server> --name pg-migration --start-ip-address 203.0.113.7 --end-ip-address 203.0.113.7",
      "if this az does not accept --server-name (up to 2.86): the same with --name <server> --rule-name pg-migration",
      "for a server with private access, open its network security group instead",
    ],
    host: /not 6432/,
  },
  PostgreSQLCosmosDB: {
    set: [
      "az cosmosdb postgres configuration coordinator update --resource-group <group> --cluster-name <cluster> --configuration-name wal_level --value logical",
      "az cosmosdb postgres configuration coordinator update --resource-group <group> --cluster-name <cluster> --configuration-name max_wal_senders --value 20",
      "az cosmosdb postgres cluster restart --resource-group <group> --cluster-name <cluster>",
    ],
    allow: [
      "az cosmosdb postgres firewall-rule create --resource-group <group> --cluster-name <cluster> --name pg-migration --start-ip-address 203.0.113.7 --end-ip-address 203.0.113.7",
    ],
    host: /coordinator/,
  },
  EDB: {
    set: [...ownSet.slice(0, -1), "sudo systemctl restart edb-as-16"],
    allow: ownAllow,
    host: /5444/,
  },
  Huawei_RDS: {
    set: [
      "in the RDS console, Instances > <instance> > Parameters, set wal_level=logical, max_wal_senders=20",
      'or through the API: PUT /v3.1/<project id>/instances/<instance id>/configurations {"values":{"wal_level":"logical","max_wal_senders":"20"}}',
      "in the RDS console, Instances > <instance> > Reboot",
    ],
    allow: [
      "in the VPC console, add an inbound rule to the instance's security group: protocol TCP, port 5432, source 203.0.113.7/32",
    ],
    host: /floating IP address/,
  },
  Huawei_Compute: {
    set: ownSet,
    allow: [
      ...ownAllow,
      "in the VPC console, add an inbound rule to the security group: protocol TCP, port 5432, source 203.0.113.7/32",
    ],
    host: /own address/,
  },
  Heroku_PostgreSQL: {
    set: ["none: Heroku Postgres does not support logical replication, and its server parameters cannot be changed"],
    allow: [
      "none in the Common Runtime, which accepts all addresses",
      "in a Private Space: heroku trusted-ips:add --space <space> 203.0.113.7/32, and ask Heroku's support to apply the list to databases",
    ],
    host: /pg:credentials:url/,
  },
  Crunchy_PostgreSQL: {
    set: [
      "cb config-param set --cluster <cluster id> wal_level=logical max_wal_senders=20",
      "cb restart <cluster id> --confirm",
    ],
    allow: ["cb network add-firewall-rule --network <network id> --rule 203.0.113.7/32"],
    host: /postgresbridge\.com/,
  },
  ApsaraDB_RDS: {
    set: [
      `aliyun rds ModifyParameter --DBInstanceId <instance> --Forcerestart true --Parameters '{"wal_level":"logical","max_wal_senders":"20"}'`,
    ],
    allow: [
      "aliyun rds ModifySecurityIps --DBInstanceId <instance> --DBInstanceIPArrayName pg_migration --ModifyMode Append --SecurityIps 203.0.113.7/32",
    ],
    host: /PgBouncer/,
  },
  Digital_Ocean_Droplets: {
    set: ownSet,
    allow: [
      ...ownAllow,
      "doctl compute firewall add-rules <firewall id> --inbound-rules protocol:tcp,ports:5432,address:203.0.113.7/32",
    ],
    host: /own address/,
  },
  Digital_Ocean_PostgreSQL: {
    set: [
      "wal_level is logical by default, and only the service's support can change it",
      `doctl databases configuration update <database cluster id> --engine pg --config-json '{"max_wal_senders":20}'`,
    ],
    allow: [
      "list the rules: doctl databases firewalls list <database cluster id>",
      "if the list is empty, append nothing: every address may connect, and the first rule locks out all applications without a rule",
      "otherwise: doctl databases firewalls append <database cluster id> --rule ip_addr:203.0.113.7",
    ],
    host: /25060, not the port 25061/,
  },
  Supabase_PostgreSQL: {
    set: [
      "wal_level is logical by default, and only the service's support can change it",
      "supabase --experimental --project-ref <project> postgres-config update --config max_wal_senders=20",
    ],
    allow: [
      "supabase --experimental --project-ref <project> network-restrictions update --db-allow-cidr 203.0.113.7/32 --append",
    ],
    host: /db\.<project>\.supabase\.co .*not <region>\.pooler/,
  },
};

/** Other values of `sourceType` for the same platforms. */
const synonyms: Readonly<Record<string, string>> = {
  AWS: "AWS_RDS",
  GCP: "GCP_CloudSQL",
  EDB_Oracle_Server: "EDB",
  EDB_PostgreSQL: "EDB",
};

function assertCommands(platform: Platform, { set, allow, host }: Expected): void {
  assert.equal(parameterCommands(platform, wanted), set.join("; "));
  assert.deepEqual([...(platform.letIn?.(access) ?? []), ...platform.allow(access)], allow);
  assert.match(platform.host, host);
}

describe("commands of the source's platform", () => {
  for (const sourceType of sourceTypes)
    it(`enable logical replication and access for ${sourceType}`, () => {
      assertCommands(platformOfType(sourceType, linux), expected[synonyms[sourceType] ?? sourceType]!);
    });

  const ipv6 = { ...access, address: "2001:db8::7/128" };

  for (const sourceType of ["AWS_RDS", "AWS_AURORA", "AWS_EC2"] as const)
    it(`open a security group for an IPv6 address for ${sourceType}`, () => {
      assert.match(
        platformOfType(sourceType, linux).allow(ipv6).at(-1)!,
        /^aws ec2 authorize-security-group-ingress --group-id <[^>]+> --ip-permissions 'IpProtocol=tcp,FromPort=5432,ToPort=5432,Ipv6Ranges=\[\{CidrIpv6=2001:db8::7\/128\}\]'$/,
      );
    });

  for (const sourceType of [
    ...(["GCP_CloudSQL", "GCP_AlloyDB", "Digital_Ocean_PostgreSQL"] as const),
    ...(["PostgreSQLSingleServer", "PostgreSQLFlexibleServer", "PostgreSQLCosmosDB"] as const),
  ])
    it(`refuse an IPv6 address for ${sourceType}`, () => {
      assert.deepEqual(platformOfType(sourceType, linux).allow(ipv6), [
        "none for 2001:db8::7/128: the service accepts only IPv4 addresses, so let the worker connect over IPv4",
      ]);
    });

  const installations: readonly (readonly [string, Parameters<typeof selfManaged>[0], RegExp])[] = [
    [
      "Debian's packages",
      { ...linux, configFile: "/etc/postgresql/16/main/postgresql.conf", dataDirectory: "/var/lib/postgresql/16/main" },
      /^sudo systemctl restart postgresql@16-main$/,
    ],
    [
      "Red Hat's packages",
      { ...linux, dataDirectory: "/var/lib/pgsql/16/data" },
      /^sudo systemctl restart postgresql-16$/,
    ],
    ["a directory of its own", { ...linux, dataDirectory: "/srv/pg" }, /^pg_ctl restart -D \/srv\/pg/],
    ["a container", { ...linux, dataDirectory: "/var/lib/postgresql/data" }, /^docker restart <container>/],
    [
      "Windows",
      { version: "PostgreSQL 16.2, compiled by Visual C++ build 1937, 64-bit" },
      /Restart-Service postgresql-x64-16$/,
    ],
    [
      "Windows, in version 9.6",
      { version: "PostgreSQL 9.6.24, compiled by Visual C++ build 1800, 64-bit" },
      /Restart-Service postgresql-x64-9\.6$/,
    ],
    ["macOS", { version: "PostgreSQL 16.2 on aarch64-apple-darwin23.2.0" }, /^brew services restart postgresql@16$/],
  ];
  for (const [where, installation, restart] of installations)
    it(`restart a self-managed server in ${where}`, () => {
      assert.match(selfManaged(installation).restart!, restart);
    });

  it("open the firewall of Windows, and name the server's pg_hba.conf", () => {
    const hbaFile = "C:/Program Files/PostgreSQL/16/data/pg_hba.conf";
    const windows = selfManaged({ version: "PostgreSQL 16.2, compiled by Visual C++ build 1937, 64-bit", hbaFile });
    const commands = [...windows.letIn!(access), ...windows.allow(access)].join("\n");
    assert(
      commands.startsWith(
        `add to ${hbaFile}, before other lines that match: host all,replication "reader" 203.0.113.7/32 scram-sha-256`,
      ),
    );
    assert.match(commands, /New-NetFirewallRule .*-LocalPort 5432 -RemoteAddress 203\.0\.113\.7\/32/);
  });

  it("reload instead of restarting for a parameter that permits it", () => {
    const commands = parameterCommands(selfManaged(linux), [{ name: "max_slot_wal_keep_size", value: "-1" }]);
    assert.equal(commands, "as a superuser: ALTER SYSTEM SET max_slot_wal_keep_size = -1; SELECT pg_reload_conf()");
    const rds = parameterCommands(platformOfType("AWS_RDS", linux), [{ name: "max_slot_wal_keep_size", value: "-1" }]);
    assert.match(rds, /ParameterValue=-1,ApplyMethod=immediate"$/);
  });

  const hosts: readonly (readonly [host: string, user: string, name: string])[] = [
    ["db.abc.eu-west-1.rds.amazonaws.com", "postgres", "Amazon RDS"],
    ["db.cluster-abc.eu-west-1.rds.amazonaws.com", "postgres", "Amazon Aurora"],
    ["db.abc.rds.cn-north-1.amazonaws.com.cn", "postgres", "Amazon RDS"],
    ["db.cluster-abc.rds.cn-north-1.amazonaws.com.cn", "postgres", "Amazon Aurora"],
    ["s.postgres.database.azure.com", "admin", "Azure Database for PostgreSQL flexible server"],
    ["s.postgres.database.azure.com", "admin@s", "Azure Database for PostgreSQL single server"],
    ["c-x.abc.postgres.cosmos.azure.com", "citus", "Azure Cosmos DB for PostgreSQL"],
    ["aws-0-eu-west-1.pooler.supabase.com", "postgres.abc", "Supabase"],
    ["db-1.db.ondigitalocean.com", "doadmin", "DigitalOcean Managed Databases"],
    ["p.abc.db.postgresbridge.com", "postgres", "Crunchy Bridge"],
    ["pgm-1.pg.rds.aliyuncs.com", "reader", "ApsaraDB RDS"],
    ["192.168.1.10", "postgres", "self-managed server on Linux"],
  ];
  for (const [host, user, name] of hosts)
    it(`are those of ${name} for ${user} on ${host}`, () => {
      assert.equal(platformOfHost({ host, user }).name, name);
    });

  it("are documented as they are (npm run platform-docs)", async () => {
    assert.equal(await readFile(pagePath, "utf8"), await sourcePlatformsPage());
  });
});
