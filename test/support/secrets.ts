import { readFile, readdir } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import type { Lab } from "./lab";

/**
 * Searches for secrets in clear text: in given texts, in the records and in the logs of workers and servers. Also searches
 * the arguments and environment of the workers. Returns the places where it found one.
 */
export async function secretsIn(
  secrets: readonly string[],
  places: { readonly lab: Lab; readonly texts: readonly string[] },
): Promise<string[]> {
  const found: string[] = [];
  const look = (where: string, text: string): void => {
    if (secrets.some((secret) => text.includes(secret))) found.push(where);
  };
  places.texts.forEach((text, index) => look(`text ${index}`, text));
  look("store", await storeText(places.lab));
  look("log of the source", await places.lab.source.log());
  look("log of the target", await places.lab.target.log());
  for (const [name, text] of await workerLogs()) look(`log ${name}`, text);
  for (const [name, text] of await workerProcesses()) look(name, text);
  return found;
}

async function storeText({ target }: Lab): Promise<string> {
  const tables = await target.query<{ name: string }>(
    "SELECT tablename AS name FROM pg_tables WHERE schemaname = 'pgmigration'",
  );
  const rows = await Promise.all(tables.map(({ name }) => target.query(`SELECT t::text FROM pgmigration."${name}" t`)));
  return JSON.stringify(rows);
}

async function workerLogs(): Promise<[string, string][]> {
  const folder = join(process.env.XDG_STATE_HOME ?? join(homedir(), ".local", "state"), "pg-migration");
  const names = await readdir(folder);
  return Promise.all(
    names.map(async (name): Promise<[string, string]> => [name, await readFile(join(folder, name), "utf8")]),
  );
}

/** Arguments and environments of workers, if the system shows them (Linux). */
async function workerProcesses(): Promise<[string, string][]> {
  const pids = (await readdir("/proc").catch(() => [])).filter((name) => /^\d+$/.test(name));
  const texts = pids.flatMap((pid) =>
    ["cmdline", "environ"].map(async (file): Promise<[string, string]> => {
      const text = await readFile(`/proc/${pid}/${file}`, "utf8").catch(() => "");
      return [`${file} of process ${pid}`, text];
    }),
  );
  return (await Promise.all(texts)).filter(([, text]) => text.includes("bundles/worker.js"));
}
