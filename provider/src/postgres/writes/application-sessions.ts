import { applicationNamePrefix } from "../connection/connect.js";

/**
 * SQL condition: the pg_stat_activity entry `a` is a session of any database, other than the session itself and those of
 * migrations. Its parameter $1 is {@link migrationSessions}.
 */
export const isOfApplication = `a.pid <> pg_backend_pid() AND a.usename IS NOT NULL
        AND coalesce(a.application_name, '') NOT LIKE $1`;

/** SQL condition: like {@link isOfApplication}, in the session's database. */
export const isApplicationSession = `a.datname = current_database() AND ${isOfApplication}`;

/** LIKE pattern for the application names of sessions of migrations. */
export const migrationSessions = `${applicationNamePrefix}%`;
