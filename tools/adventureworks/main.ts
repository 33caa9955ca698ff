import { parseArgs } from "node:util";
import { Client, escapeIdentifier } from "pg";
import { type Connection, createAdventureWorks, type Progress } from "./create-adventureworks";

const usage = `Usage: npx tsx tools/adventureworks/main.ts --host H --database D
         [--port 5432] [--user postgres] [--scale 1] [--create-database]
The password comes from the environment variable PGPASSWORD.`;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      host: { type: "string" },
      port: { type: "string", default: "5432" },
      user: { type: "string", default: "postgres" },
      database: { type: "string" },
      scale: { type: "string", default: "1" },
      "create-database": { type: "boolean", default: false },
    },
  });
  const { host, user, database } = values;
  if (host === undefined || database === undefined) throw new Error(usage);
  const port = Number(values.port);
  if (!Number.isInteger(port)) throw new Error(`invalid port "${values.port}": expected a number\n${usage}`);
  const connection = { host, port, user, password: process.env.PGPASSWORD ?? "", database };
  if (values["create-database"]) await createDatabase(connection);
  const created = await createAdventureWorks(connection, { scale: Number(values.scale), onProgress: print });
  console.log(`${created.tables} tables with ${created.rows} rows in ${created.seconds.toFixed(1)} s`);
}

async function createDatabase(connection: Connection): Promise<void> {
  const client = new Client({ ...connection, database: "postgres" });
  await client.connect();
  try {
    await client.query(`CREATE DATABASE ${escapeIdentifier(connection.database)}`);
  } finally {
    await client.end();
  }
}

function print({ step, rows, totalRows }: Progress): void {
  console.log(`${String(Math.floor((rows * 100) / totalRows)).padStart(3)} %  ${step}`);
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
