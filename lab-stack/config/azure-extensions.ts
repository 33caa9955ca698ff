const names = `
  address_standardizer address_standardizer_data_us age amcheck anon azure_ai azure_local_ai azure_storage bloom
  btree_gin btree_gist citext credcheck cube dblink dict_int dict_xsyn earthdistance fuzzystrmatch hll hstore
  hypopg intagg intarray ip4r isn lo login_hook ltree oracle_fdw orafce pageinspect pg_buffercache pg_cron
  pg_diskann pg_duckdb pg_freespacemap pg_hint_plan pg_partman pg_prewarm pg_repack pg_squeeze pg_stat_statements
  pg_trgm pg_visibility pgaudit pgcrypto pglogical pgrouting pgrowlocks pgstattuple plpgsql plv8 postgis
  postgis_raster postgis_sfcgal postgis_tiger_geocoder postgis_topology postgres_fdw postgres_protobuf semver
  session_variable sslinfo tablefunc tdigest tds_fdw timescaledb topn tsm_system_rows tsm_system_time unaccent
  uuid-ossp vector
`;

/** Values that Azure allows in `azure.extensions`, of all PostgreSQL versions together. Add a name here when Azure adds it. */
export const azureExtensions: readonly string[] = names.trim().split(/\s+/);

/** Libraries that extensions need in `shared_preload_libraries` (Azure, "Extensions and modules"). */
export const preloadLibraries: Readonly<Record<string, string>> = {
  pg_cron: "pg_cron",
  pg_hint_plan: "pg_hint_plan",
  pg_partman: "pg_partman_bgw",
  pg_prewarm: "pg_prewarm",
  pg_stat_statements: "pg_stat_statements",
  pgaudit: "pgaudit",
  pglogical: "pglogical",
  timescaledb: "timescaledb",
};
