import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Display } from "../pulumi-host/display";
import type { HostEvent } from "../pulumi-host/host";
import { selectHost } from "../pulumi-host/select-host";
import { runMain } from "../run-main";
import { Checks } from "./checks";
import { startLab, database, type Lab } from "./servers";
import { walkThrough } from "./walk-through";

const usage = `npm run demo [-- --scale N] [--keep] [--json]

Starts an on-premises PostgreSQL 14 and an Azure-like PostgreSQL 17, and migrates AdventureWorks, offline and online.

  --scale N   rows, as a share of the real number; default 0.3, 1 is all of them
  --keep      leave both servers running and say how to connect
  --json      print nothing but the result, as JSON

It deploys with the Pulumi CLI where that is on PATH, else with the stand-in of tools/pulumi-host; PULUMI_HOST=cli or
embedded decides otherwise.`;

interface Options {
  readonly scale: number;
  readonly keep: boolean;
  readonly json: boolean;
}

async function main(): Promise<number> {
  const options = readOptions();
  if (!options) return 2;
  // With --json, standard output contains only the result.
  const screen = options.json ? process.stderr : process.stdout;
  const say = (line: string): void => void screen.write(`\n== ${line}\n`);
  const hostName = selectHost({ programDirectory: join(__dirname, "../../examples/offline"), stack: "demo" }).name;
  say(
    hostName === "cli"
      ? "deploying with the Pulumi CLI"
      : "deploying with tools/pulumi-host, a stand-in for the Pulumi CLI",
  );
  const stateDirectory = await mkdtemp(join(tmpdir(), "pg-migration-demo-"));
  const display = new Display(screen);
  const checks = new Checks();
  let lab: Lab | undefined;
  try {
    lab = await startLab({ ...options, say });
    process.once("SIGINT", interrupted(lab));
    await walkThrough({ lab, checks, stateDirectory, say, onEvent: showing(display) });
  } catch (error) {
    checks.equal("the walk-through", error instanceof Error ? error.message : String(error), "no error");
  } finally {
    display.close();
    await rm(stateDirectory, { recursive: true, force: true });
    if (lab && !options.keep) await Promise.all([lab.source.stop(), lab.target.stop()]);
  }
  if (options.json) process.stdout.write(`${JSON.stringify({ host: hostName, ok: checks.ok, checks: checks.all })}\n`);
  else screen.write(`\n${checks.table()}\n\n${checks.ok ? "All as expected." : "Something is not as expected."}\n`);
  if (lab && options.keep) say(howToConnect(lab));
  return checks.ok ? 0 : 1;
}

/** Ends the worker and the servers, which would continue to run after an interrupted demo. */
function interrupted({ source, target }: Lab): () => void {
  return () => {
    const end = async (): Promise<void> => {
      const workers = await target.query<{ pid: number }>(
        "SELECT (worker ->> 'pid')::int AS pid FROM pgmigration.migration WHERE state <> 'Succeeded'",
      );
      for (const { pid } of workers) process.kill(pid, "SIGKILL");
    };
    // Without records there is no worker. The servers are stopped in any case.
    void end()
      .catch(() => undefined)
      .then(() => Promise.all([source.stop(), target.stop()]))
      .finally(() => process.exit(130));
  };
}

/** Hides unchanged resources of each refresh. */
function showing(display: Display): (event: HostEvent) => void {
  return (event) => {
    const isSame = event.kind === "step-finished" && event.op === "same";
    if (!isSame) display.show(event);
  };
}

function readOptions(): Options | undefined {
  try {
    const { values } = parseArgs({
      options: {
        scale: { type: "string", default: "0.3" },
        keep: { type: "boolean", default: false },
        json: { type: "boolean", default: false },
        help: { type: "boolean", short: "h", default: false },
      },
    });
    const scale = Number(values.scale);
    if (values.help || !(scale > 0))
      throw new Error(values.help ? "" : `--scale is ${values.scale}, but must be a number above 0`);
    return { scale, keep: values.keep, json: values.json };
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n\n${usage}\n`);
    return undefined;
  }
}

function howToConnect({ source, target, administrator }: Lab): string {
  const psql = (port: number, user: string, password: string): string =>
    `PGPASSWORD=${password} psql -h 127.0.0.1 -p ${port} -U ${user} ${database}`;
  return [
    "the servers go on running:",
    `  source  ${psql(source.port, source.login.user, source.login.password)}`,
    `  target  ${psql(target.port, administrator.user, administrator.password)}`,
    `  end     kill ${source.processId ?? ""} ${target.processId ?? ""}; rm -r ${source.directory} ${target.directory}`,
  ].join("\n");
}

runMain(main);
