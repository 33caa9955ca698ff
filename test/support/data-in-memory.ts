/**
 * The servers of tests keep their data in memory if there is room. On disk, creating and dropping databases and servers
 * takes several times the CPU.
 */
process.env.PG_MIGRATION_TEST_DATA ??= "/dev/shm";
