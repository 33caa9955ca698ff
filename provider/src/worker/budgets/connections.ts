interface Connections {
  readonly source: number;
  readonly target: number;
}

/** Connections of a migration for each further table that it copies at the same time: copy, comparison, index. */
export const connectionsPerJob: Connections = { source: 2, target: 3 };

/** Connections of each further database of the same migration. */
const connectionsPerDatabase: Connections = { source: 6, target: 5 };

/** Connections of a migration that copies one table of each database at a time. */
export const connectionsOf = (databases: number): Connections => ({
  source: connectionsOfOneJob.source + (databases - 1) * connectionsPerDatabase.source,
  target: connectionsOfOneJob.target + (databases - 1) * connectionsPerDatabase.target,
});

/** Connections of a migration that copies one table of one database at a time, with its streams and its records. */
export const connectionsOfOneJob: Connections = { source: 8, target: 12 };
