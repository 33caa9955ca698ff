import { applicationNamePrefix } from "../connection/connect.js";

/**
 * SQL condition: the pg_stat_activity entry `a` is a session in the session's database, other than itself and those of migrations.
 * Its parameter $1 is {@link migrationSessions}.
 */
export const isApplicationSession = `a.datname = current_database() AND a.pid <> pg_backend_pid() AND a.usename IS NOT NULL
        AND coalesce(a.application_name, '') NOT LIKE $1`;

/** LIKE pattern for the application names of sessions of migrations. */
export const migrationSessions = `${applicationNamePrefix}%`;
