import type { Platform } from "./platform.js";

const noReplication = "Heroku Postgres does not support logical replication";

/**
 * Heroku Postgres has neither settable server parameters nor a role that may replicate.
 *
 * @see https://github.com/heroku/roadmap/issues/38
 */
export const heroku: Platform = {
  name: "Heroku Postgres",
  sourceTypes: ["Heroku_PostgreSQL"],
  recognizedBy:
    "the schema `heroku_ext` or `_heroku`, or Heroku's names of database and role (`d…`, `u…`, with digits)",
  set: () => [`none: ${noReplication}, and its server parameters cannot be changed`],
  grantReplication: () => `none: ${noReplication}`,
  allow: ({ address }) => [
    "none in the Common Runtime, which accepts all addresses",
    `in a Private Space: heroku trusted-ips:add --space <space> ${address}, and ask Heroku's support to apply the list to databases`,
  ],
  host: "the host of heroku pg:credentials:url, not a URL of connection pooling",
  systemSchemas: ["_heroku", "heroku_ext"],
  systemRoles: ["heroku_admin", "heroku_ext"],
  offlineOnly: noReplication,
  documentation: ["https://github.com/heroku/roadmap/issues/38"],
};
