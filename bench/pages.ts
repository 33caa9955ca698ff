import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { request, type ClientRequest } from "node:http";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Lab } from "../test/support/lab";
import { Resource } from "../test/support/resource";
import { dataSets } from "./data-sets";
import { median } from "./median";

/**
 * `npm run bench:pages`: whether open pages slow down a copy. Copies the same database alternately without pages and with 200
 * open pages. The dashboard is a separate process, as it is for users.
 */

const commandPath = join(__dirname, "../provider/bin/pg-migration.js");
const token = "a token for the bench";

interface OpenPages {
  readonly bytesReceived: () => number;
  readonly stop: () => Promise<void>;
}

async function openPages(lab: Lab, migration: string, pages: number): Promise<OpenPages> {
  const { host, port, user, password } = lab.administrator;
  const server = spawn(process.execPath, [commandPath, "dashboard", "--listen-port", "0"], {
    env: {
      ...process.env,
      PGHOST: host,
      PGPORT: String(port),
      PGUSER: user,
      PGPASSWORD: password,
      PG_MIGRATION_DASHBOARD_TOKEN: token,
    },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [address] = (await once(server.stdout, "data")) as [Buffer];
  const path = `/api/events?migration=${migration}`;
  let bytes = 0;
  const streams = Array.from({ length: pages }, () =>
    openStream(new URL(path, address.toString().trim()), (length) => (bytes += length)),
  );
  return {
    bytesReceived: () => bytes,
    stop: () => closePages(server, streams),
  };
}

function openStream(url: URL, onBytes: (length: number) => void): ClientRequest {
  const asked = request(url, { headers: { authorization: `Bearer ${token}` } }, (response) => {
    response.on("data", (chunk: Buffer) => onBytes(chunk.length)).on("error", () => undefined);
  });
  asked.on("error", () => undefined).end();
  return asked;
}

async function closePages(server: ChildProcess, streams: readonly ClientRequest[]): Promise<void> {
  for (const stream of streams) stream.destroy();
  const exited = once(server, "exit");
  server.kill("SIGTERM");
  await exited;
}

/** Seconds that the copy took by the records, and what the pages were sent. */
async function copy(lab: Lab, database: string, pages: number): Promise<{ seconds: number; bytes: number }> {
  const resource = new Resource();
  const inputs = lab.inputs([database], { overwriteDbsInTarget: true, verification: "none" });
  const opened = pages > 0 ? await openPages(lab, inputs.migrationName as string, pages) : undefined;
  try {
    const { startedOn, endedOn } = await resource.create(inputs);
    return { seconds: (Date.parse(endedOn!) - Date.parse(startedOn!)) / 1000, bytes: opened?.bytesReceived() ?? 0 };
  } finally {
    await opened?.stop();
    await resource.destroy();
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      rounds: { type: "string", default: "5" },
      pages: { type: "string", default: "200" },
      scale: { type: "string", default: "1" },
      set: { type: "string", default: "tables" },
    },
  });
  const set = dataSets.find(({ name }) => name === values.set);
  if (!set) throw new Error(`--set ${values.set}: the sets are ${dataSets.map(({ name }) => name).join(", ")}`);
  const pages = Number(values.pages);
  const lab = await Lab.start();
  try {
    const database = await lab.database(set.sql(Number(values.scale)));
    await copy(lab, database, 0);
    const [alone, watched]: [number[], number[]] = [[], []];
    for (let round = 1; round <= Number(values.rounds); round++) {
      alone.push((await copy(lab, database, 0)).seconds);
      const { seconds, bytes } = await copy(lab, database, pages);
      watched.push(seconds);
      process.stdout.write(
        `round ${round}: ${alone.at(-1)!.toFixed(2)} s alone, ${seconds.toFixed(2)} s with ${pages} pages (${bytes} bytes sent)\n`,
      );
    }
    process.stdout.write(
      `medians: ${median(alone).toFixed(2)} s and ${median(watched).toFixed(2)} s, ratio ${(median(watched) / median(alone)).toFixed(3)}\n`,
    );
  } finally {
    await lab.stop();
  }
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? (error.stack ?? "") : String(error)}\n`);
  process.exitCode = 1;
});
