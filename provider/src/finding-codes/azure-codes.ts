import type { Catalogue } from "./catalogue-entry.js";

/** Codes of Azure's migration service, each with the meaning that Azure documents. */
export const azureCodes = {
  "603000": {
    meaning: "a server cannot be reached, or does not answer as PostgreSQL",
    severity: "Failed",
    remedy: "check host, port and firewall: pg_isready -h <host> -p <port>",
  },
  "603001": {
    meaning: "the server does not support TLS as sslMode requires it, or its certificate is not accepted",
    severity: "Failed",
    remedy: "set ssl = on on the server, and sslRootCert to its root certificate",
  },
  "603100": {
    meaning: "the server refuses the role, its password or its token",
    severity: "Failed",
    remedy: "check that the role exists and may log in, and its password; for a token, follow the finding",
  },
  "603101": {
    meaning: "the database exists on the target, and overwriteDbsInTarget is false",
    severity: "Failed",
    remedy: "set overwriteDbsInTarget to true, or drop the database on the target",
  },
  "603102": {
    meaning: "the database does not exist on the source",
    severity: "Failed",
    remedy: "correct the name in dbsToMigrate",
  },
  "603103": {
    meaning: "a Microsoft Entra role of the source is missing on the target",
    severity: "Warning or Failed",
    remedy:
      "log in to the target as an Entra administrator, or SELECT * FROM pgaadauth_create_principal('<role>', false, false) there in the database postgres",
    privilege: "Microsoft Entra administrator of the target",
  },
  "603104": {
    meaning: "online: the source's role may not replicate",
    severity: "Failed",
    remedy: "ALTER ROLE <role> REPLICATION; on RDS and Aurora: GRANT rds_replication TO <role>",
    privilege: "REPLICATION on the source",
  },
  "603105": {
    meaning: "online: the source has too few free replication slots",
    severity: "Warning or Failed",
    remedy: "drop unused slots, or raise max_replication_slots and restart the source",
    privilege: "superuser, or the service's server parameters",
  },
  "603106": {
    meaning: "online: the server has too few free WAL senders",
    severity: "Warning or Failed",
    remedy: "end unused replication connections, or raise max_wal_senders and restart the server",
    privilege: "superuser, or the service's server parameters",
  },
  "603107": {
    meaning: "online: the source's wal_level is not logical",
    severity: "Warning or Failed",
    remedy: "set wal_level to logical and restart the source",
    privilege: "superuser, or the service's server parameters",
  },
  "603108": {
    meaning: "azure.extensions of the target does not allow an extension of the source",
    severity: "Failed",
    remedy: "az postgres flexible-server parameter set --name azure.extensions --value <list>",
    privilege: "Contributor of the flexible server",
  },
  "603109": {
    meaning: "shared_preload_libraries of the target lacks the library of an extension of the source",
    severity: "Warning or Failed",
    remedy: "az postgres flexible-server parameter set --name shared_preload_libraries --value <list>, then restart",
    privilege: "Contributor of the flexible server",
  },
  "603110": {
    meaning: "the source's role may not read, or online not publish, everything that is to be migrated",
    severity: "Failed",
    remedy: "GRANT SELECT, or ALTER ROLE <role> BYPASSRLS; online: GRANT <owner of the tables> TO <role>",
    privilege: "SELECT on all objects; online: ownership of the tables and CREATE on the database",
  },
  "603111": {
    meaning: "the target's role may not terminate sessions in a database that is to be replaced",
    severity: "Failed",
    remedy: "GRANT pg_signal_backend TO <role> on the target, or end the sessions",
    privilege: "pg_signal_backend on the target",
  },
  "603113": {
    meaning: "the migration has ended or is cut over, so it cannot be cut over",
    severity: "Failed",
    remedy: "remove triggerCutover, or start a new migration",
  },
  "603114": {
    meaning: "an offline migration has no cutover",
    severity: "Failed",
    remedy: "remove triggerCutover, or set migrationMode to Online",
  },
  "603115": {
    meaning: "the target's role is not a member of azure_pg_admin",
    severity: "Warning",
    remedy: "GRANT azure_pg_admin TO <role> as the server's administrator",
    privilege: "membership in azure_pg_admin",
  },
  "603116": {
    meaning: "migrateRoles: the target's role may not create roles",
    severity: "Failed",
    remedy: "ALTER ROLE <role> CREATEROLE on the target",
    privilege: "CREATEROLE on the target",
  },
  "603117": {
    meaning: "the target's role may not drop the existing database",
    severity: "Failed",
    remedy: "ALTER DATABASE <database> OWNER TO <role>, or drop the database yourself",
    privilege: "ownership of the database on the target",
  },
  "603400": {
    meaning: "the source is older than 9.5, or the target is older than the source",
    severity: "Failed",
    remedy: "upgrade the source, or create the target with a later version",
  },
  "603401": {
    meaning: "the target does not have the locale of a database",
    severity: "Warning",
    remedy: "create the database and its schema on the target with the locale that you want, and set dataOnly",
  },
  "603402": {
    meaning: "the target does not have the collation of a column or of another object",
    severity: "Failed",
    remedy: "on the source: ALTER TABLE ... ALTER ... TYPE ... COLLATE with a collation that the target has",
    privilege: "ownership of the table on the source",
  },
  "603403": {
    meaning: "the target cannot create a user-defined collation of the source",
    severity: "Failed",
    remedy: "give its columns and indexes another collation on the source, and drop it",
    privilege: "ownership of the collation on the source",
  },
  "603404": {
    meaning: "tables were created WITH OIDS, which PostgreSQL 12 removed",
    severity: "Warning or Failed",
    remedy: "ALTER TABLE ... SET WITHOUT OIDS on the source",
    privilege: "ownership of the table on the source",
  },
  "603405": {
    meaning: "the target does not offer an extension of the source",
    severity: "Failed",
    remedy: "DROP EXTENSION on the source, or exclude the extension",
    privilege: "ownership of the extension on the source",
  },
  "603406": {
    meaning: "the target offers another version of PostGIS than the source has",
    severity: "Warning",
    remedy: "read the release notes of PostGIS between both versions, and test the queries",
  },
  "603407": {
    meaning: "an extension is in a system schema, where the target's role may not create it",
    severity: "Failed",
    remedy: "ALTER EXTENSION <extension> SET SCHEMA <schema> on the source, or exclude the extension",
    privilege: "superuser of the target",
  },
  "603409": {
    meaning: "a user-defined cast requires a superuser of the target, and is not migrated",
    severity: "Warning",
    remedy: "write the conversion explicitly in queries that rely on it",
    privilege: "superuser of the target",
    omits: true,
  },
  "603410": {
    meaning: "changed privileges on system objects, or on objects of an extension, are not migrated",
    severity: "Warning",
    remedy: "let a superuser grant or revoke them on the target if they are needed",
    privilege: "superuser of the target",
    omits: true,
  },
  "603413": {
    meaning: "a procedural language, or a function in it, requires a superuser of the target",
    severity: "Warning or Failed",
    remedy: "rewrite the functions in a trusted language (plpgsql, sql), or drop them on the source",
    privilege: "superuser of the target",
  },
  "603700": {
    meaning: "sessions, prepared transactions or slots on the target keep a database from being dropped",
    severity: "Failed",
    remedy: "end the sessions and drop the slots of the database on the target",
    privilege: "pg_signal_backend on the target",
  },
  "603701": {
    meaning: "the target refuses to create a role of the source",
    severity: "Warning",
    remedy: "create the role on the target",
    privilege: "CREATEROLE on the target",
    omits: true,
  },
  "603702": {
    meaning: "the source does not let the role read passwords, so a migrated role may not log in",
    severity: "Warning",
    remedy: "ALTER ROLE <role> LOGIN PASSWORD '...' on the target",
    privilege: "superuser of the source, to read pg_authid",
  },
  "603704": {
    meaning: "a migrated role was not granted to the migrating role",
    severity: "Warning",
    remedy: "GRANT <role> TO <migrating role> on the target",
    privilege: "CREATEROLE on the target",
  },
  "603705": {
    meaning: "grants, or memberships in roles that existed on the target before, were not migrated",
    severity: "Warning",
    remedy: "grant on the target as on the source",
    privilege: "ownership of the object, or ADMIN OPTION on the role",
    omits: true,
  },
  "603707": {
    meaning: "azure_pg_admin is not granted to a role that has it on the source",
    severity: "Warning",
    remedy: "GRANT azure_pg_admin TO <role> as the server's administrator",
    privilege: "ADMIN OPTION on azure_pg_admin",
    omits: true,
  },
  "603708": {
    meaning: "azure_pg_admin does not become the owner of the schema public",
    severity: "Warning",
    remedy: "ALTER SCHEMA public OWNER TO azure_pg_admin on the target",
    privilege: "membership in azure_pg_admin",
  },
  "603709": {
    meaning: "the migration's records cannot be created on the target",
    severity: "Failed",
    remedy: "ALTER ROLE <role> CREATEDB, or GRANT CREATE ON DATABASE postgres TO <role> on the target",
    privilege: "CREATEDB, or CREATE on the maintenance database",
  },
} as const satisfies Catalogue;

/** Codes of Azure's migration service that this engine has no use for, with the reason. */
export const unusedAzureCodes: Readonly<Record<string, string>> = {
  "603112":
    "sessions of a migration set default_transaction_read_only to off, which every role may; a standby is PGM-201",
  "603408":
    "extensions that no version of the target offers are 603405, and those that only a superuser can create PGM-429",
  "603703": "roles are read from the catalogue, and no dump file of roles is edited",
  "603706": "the migrating role gets no memberships that have to be removed afterwards",
};
