import { alterRoleReplication, exceptWalLevel, overIpv4, type Platform, withoutPrefixLength } from "./platform.js";

/**
 * Commands of DigitalOcean Managed PostgreSQL. Its configuration is changed as a PATCH, and the service restarts the server.
 *
 * @see https://docs.digitalocean.com/reference/doctl/reference/databases/configuration/update
 */
export const digitalOcean: Platform = {
  name: "DigitalOcean Managed Databases",
  sourceTypes: ["Digital_Ocean_PostgreSQL"],
  recognizedBy: "the role `doadmin`",
  set: (parameters) =>
    exceptWalLevel(parameters, (others) => {
      const json = others.map(({ name, value }) => `"${name}":${value}`).join(",");
      return `doctl databases configuration update <database cluster id> --engine pg --config-json '{${json}}'`;
    }),
  grantReplication: (role) => `as doadmin: ${alterRoleReplication(role)}`,
  allow: overIpv4(({ address }) => [
    "list the rules: doctl databases firewalls list <database cluster id>",
    "if the list is empty, append nothing: every address may connect, and the first rule locks out all applications without a rule",
    `otherwise: doctl databases firewalls append <database cluster id> --rule ip_addr:${withoutPrefixLength(address)}`,
  ]),
  host: "<cluster>.db.ondigitalocean.com and port 25060, not the port 25061 of a connection pool",
  systemSchemas: [],
  systemRoles: ["_dodb", "doadmin"],
  documentation: [
    "https://docs.digitalocean.com/reference/doctl/reference/databases/configuration/update",
    "https://docs.digitalocean.com/products/databases/postgresql/how-to/migrate/",
  ],
};
