/**
 * Where there is room for it, the servers of tests keep their data in memory: on disk a database that is made and dropped
 * costs several times the CPU, and so does a server that is started and removed.
 */
process.env.PG_MIGRATION_TEST_DATA ??= "/dev/shm";
