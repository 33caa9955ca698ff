import type { SourceType } from "../inputs/inputs.js";
import { openSecurityGroup } from "./aws.js";
import { type Access, alterRoleReplication, isIpv6, needsRestart, type Platform } from "./platform.js";

/** What a session can see of a server's installation. Paths are null for roles that may not read them. */
export interface Installation {
  /** The text of `version()`. */
  readonly version: string;
  readonly dataDirectory?: string | null;
  readonly configFile?: string | null;
  readonly hbaFile?: string | null;
}

type OperatingSystem = "linux" | "windows" | "macOS" | "container";

/** Data directories of the images of Docker, CloudNativePG and Bitnami. */
const ofContainer = /^\/var\/lib\/postgresql\/(data|\d+\/docker)\b|^\/bitnami\//;

export function operatingSystem({ version, dataDirectory }: Installation): OperatingSystem {
  if (/Visual C\+\+|mingw|windows|msvc/i.test(version)) return "windows";
  if (/apple-darwin/.test(version)) return "macOS";
  return ofContainer.test(dataDirectory ?? "") ? "container" : "linux";
}

/** Before 10, the second number is part of the major version. */
const majorOf = ({ version }: Installation): string => /9\.\d+|\d+/.exec(version)?.[0] ?? "<version>";

/** Debian has a service for each cluster, and PostgreSQL's packages for Red Hat one for each version. */
function linuxRestart(installation: Installation): string {
  const dataDirectory = installation.dataDirectory ?? "";
  const cluster = /^\/etc\/postgresql\/([^/]+)\/([^/]+)\//.exec(installation.configFile ?? "");
  if (cluster) return `sudo systemctl restart postgresql@${cluster[1]}-${cluster[2]}`;
  const redHat = /^\/var\/lib\/pgsql\/([^/]+)\/data/.exec(dataDirectory);
  if (redHat) return `sudo systemctl restart postgresql-${redHat[1]}`;
  const service = "sudo systemctl restart postgresql";
  return dataDirectory === "" || dataDirectory.startsWith("/var/lib/")
    ? service
    : `pg_ctl restart -D ${dataDirectory}, or ${service}`;
}

function restartOf(installation: Installation): string {
  switch (operatingSystem(installation)) {
    case "windows":
      return `in an elevated PowerShell: Restart-Service postgresql-x64-${majorOf(installation)}`;
    case "macOS":
      return `brew services restart postgresql@${majorOf(installation)}`;
    case "container":
      return "docker restart <container> (Kubernetes: kubectl rollout restart statefulset <name>)";
    case "linux":
      return linuxRestart(installation);
  }
}

function openFirewall(installation: Installation, { address, port }: Access): string[] {
  switch (operatingSystem(installation)) {
    case "windows":
      return [
        `in an elevated PowerShell: New-NetFirewallRule -DisplayName PostgreSQL -Direction Inbound -Protocol TCP -LocalPort ${port} -RemoteAddress ${address} -Action Allow`,
      ];
    case "macOS":
      return ["allow incoming connections of postgres in System Settings > Network > Firewall"];
    case "container":
      return [`publish the port (docker run -p ${port}:5432), and open it on the container's host for ${address}`];
    case "linux":
      return [
        `if ufw is the firewall: sudo ufw allow from ${address} to any port ${port} proto tcp`,
        `if firewalld is: sudo firewall-cmd --permanent --add-rich-rule='rule family="${isIpv6(address) ? "ipv6" : "ipv4"}" source address="${address}" port port="${port}" protocol="tcp" accept' && sudo firewall-cmd --reload`,
      ];
  }
}

const letIn = ({ hbaFile }: Installation, { role, address }: Access): string[] => [
  `add to ${hbaFile ?? "the file that SHOW hba_file names"}, before other lines that match: host all,replication ${role} ${address} scram-sha-256 (md5 before PostgreSQL 10)`,
  "SELECT pg_reload_conf()",
];

/** Firewalls of virtual machines, in addition to those of their operating system. */
const cloudFirewalls: Partial<Record<SourceType, (access: Access) => string>> = {
  AWS_EC2: (access) => openSecurityGroup("<security group>", access),
  GCP_Compute: ({ address, port }) =>
    `gcloud compute firewall-rules create pg-migration --network <network> --direction INGRESS --allow tcp:${port} --source-ranges ${address}`,
  AzureVM: ({ address, port }) =>
    `az network nsg rule create --resource-group <group> --nsg-name <network security group> --name pg-migration --priority 1000 --protocol Tcp --destination-port-ranges ${port} --source-address-prefixes ${address}`,
  Digital_Ocean_Droplets: ({ address, port }) =>
    `doctl compute firewall add-rules <firewall id> --inbound-rules protocol:tcp,ports:${port},address:${address}`,
  Huawei_Compute: ({ address, port }) =>
    `in the VPC console, add an inbound rule to the security group: protocol TCP, port ${port}, source ${address}`,
};

const names: Readonly<Record<OperatingSystem, string>> = {
  linux: "self-managed server on Linux",
  windows: "self-managed server on Windows",
  macOS: "self-managed server on macOS",
  container: "self-managed server in a container",
};

/**
 * Commands of a server that its users manage themselves, for its operating system.
 *
 * @see https://www.postgresql.org/docs/current/auth-pg-hba-conf.html
 * @example
 * ```ts
 * selfManaged({ version: "PostgreSQL 16.2, compiled by Visual C++ build 1937, 64-bit" }).restart;
 * ```
 */
export function selfManaged(installation: Installation, sourceType: SourceType = "OnPremises"): Platform {
  const cloudFirewall = cloudFirewalls[sourceType];
  return {
    name: names[operatingSystem(installation)],
    sourceTypes: ["OnPremises", "AWS_EC2", "GCP_Compute", "AzureVM", "Digital_Ocean_Droplets", "Huawei_Compute"],
    recognizedBy: "the absence of a service's signs; `version()` and the data directory show the operating system",
    set: (parameters) => [
      ...parameters.map(
        ({ name, value }, i) => `${i === 0 ? "as a superuser: " : ""}ALTER SYSTEM SET ${name} = ${value}`,
      ),
      ...(needsRestart(parameters) ? [] : ["SELECT pg_reload_conf()"]),
    ],
    restart: restartOf(installation),
    grantReplication: alterRoleReplication,
    allow: (access) => [
      "if SHOW listen_addresses is localhost: ALTER SYSTEM SET listen_addresses = '*', and restart",
      ...openFirewall(installation, access),
      ...(cloudFirewall ? [cloudFirewall(access)] : []),
    ],
    letIn: (access) => letIn(installation, access),
    host: "the server's own address and port, not those of a pooler such as PgBouncer",
    systemSchemas: [],
    systemRoles: [],
    documentation: [
      "https://www.postgresql.org/docs/current/auth-pg-hba-conf.html",
      "https://www.postgresql.org/docs/current/sql-altersystem.html",
    ],
  };
}

/**
 * Commands of EDB Postgres Advanced Server, whose Linux service has another name. EDB's managed service has a console.
 *
 * @see https://www.enterprisedb.com/docs/epas/latest/
 */
export function edb(installation: Installation): Platform {
  return {
    ...selfManaged(installation),
    name: "EDB Postgres Advanced Server",
    sourceTypes: ["EDB", "EDB_Oracle_Server", "EDB_PostgreSQL"],
    recognizedBy: "`EnterpriseDB` in `version()`",
    ...(operatingSystem(installation) === "linux" && {
      restart: `sudo systemctl restart edb-as-${majorOf(installation)}`,
    }),
    host: "the server's own address (port 5444 by default), not those of EDB PgBouncer; in EDB's managed service, the cluster's read/write endpoint, and its parameters and allowed addresses are set in its console",
    systemSchemas: ["dbo", "sys"],
    systemRoles: ["aq_administrator_role", "enterprisedb"],
    documentation: ["https://www.enterprisedb.com/docs/epas/latest/"],
  };
}
