import type { Catalogue } from "./catalogue-entry.js";

/** PGM-1xx: the connection to a server. */
export const connectionCodes = {
  "PGM-101": {
    meaning: "a pg_hba.conf rejects the connection, or requires an authentication that migrations do not support",
    severity: "Failed",
    remedy: "add the line that the finding shows to pg_hba.conf, then SELECT pg_reload_conf()",
    privilege: "superuser of the server, to reload its configuration",
  },
  "PGM-102": {
    meaning: "a pooler or proxy stands between the worker and the server",
    severity: "Warning or Failed",
    remedy: "set host and port to those of the server itself",
  },
  "PGM-103": {
    meaning: "the database of a connection does not exist",
    severity: "Failed",
    remedy: "create the database, or correct its name",
  },
  "PGM-104": {
    meaning: "the role may not connect to the database, or the database accepts no connections",
    severity: "Failed",
    remedy: "GRANT CONNECT ON DATABASE <database> TO <role>; ALTER DATABASE <database> ALLOW_CONNECTIONS true",
    privilege: "CONNECT on the database",
  },
  "PGM-105": {
    meaning: "no password or token could be obtained on the machine that connects (`auth`)",
    severity: "Failed",
    remedy: "the finding names the credential and what it lacks; a command must print only the password",
  },
} as const satisfies Catalogue;
