import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { MigrationStatus } from "pulumi-pg-migration";
import { exampleConfig } from "../pulumi-host/example-config";
import type { Host, HostEvent, OperationResult } from "../pulumi-host/host";
import { selectHost } from "../pulumi-host/select-host";
import type { Checks } from "./checks";
import { database, type Lab } from "./servers";

export interface WalkThrough {
  readonly lab: Lab;
  readonly checks: Checks;
  /** Folder of the stacks' states, empty at the start. */
  readonly stateDirectory: string;
  readonly say: (line: string) => void;
  readonly onEvent: (event: HostEvent) => void;
}

const tables = 68;
const latencyWithinMs = 60_000;

/** Runs an offline migration, then an online migration of the same database with a cutover. */
export async function walkThrough(walk: WalkThrough): Promise<void> {
  const offline = program(walk, "offline");
  const online = program(walk, "online", { overwriteDbsInTarget: "true" });
  try {
    await migrateOffline(walk, offline);
    await migrateOnline(walk, online);
    await writeOnSource(walk, online);
    await cutOver(walk);
  } finally {
    walk.say("clean up: destroy both stacks");
    for (const host of [online, offline]) await succeed(host.destroy());
  }
  await checkNothingLeft(walk);
}

function program({ lab, stateDirectory, onEvent }: WalkThrough, name: "offline" | "online", extra = {}): Host {
  const servers = exampleConfig(lab.source.login, lab.administrator);
  return selectHost({
    programDirectory: join(__dirname, "../../examples", name),
    stack: "demo",
    stateFile: join(stateDirectory, `${name}.json`),
    directory: join(stateDirectory, "cli"),
    config: { ...servers.config, dbsToMigrate: JSON.stringify([database]), ...extra },
    secretConfig: servers.secretConfig,
    onEvent,
  });
}

async function migrateOffline({ checks, lab, say }: WalkThrough, host: Host): Promise<void> {
  say("offline: pulumi up in examples/offline");
  const status = statusOf(await succeed(host.up()));
  checks.equal("offline: state", status.state, "Succeeded");
  checks.equal(
    "offline: tables copied",
    status.currentSubStateDetails.dbDetails[database]!.fullLoadCompletedTables,
    tables,
  );
  checks.equal(
    "offline: tables compared row by row",
    status.currentSubStateDetails.dbDetails[database]!.tablesCompared,
    tables,
  );
  checks.equal("offline: tables on the target", await countTables(lab), tables);
}

async function migrateOnline({ checks, lab, say }: WalkThrough, host: Host): Promise<void> {
  say("online: pulumi up in examples/online, replaces the same database");
  const status = statusOf(await succeed(host.up()));
  checks.equal("online: state", status.state, "WaitingForUserAction");
  checks.equal("online: substate", status.currentSubStateDetails.currentSubState, "WaitingForCutoverTrigger");
  checks.equal("online: departments on the target", (await departments(lab)).length, 16);
}

async function writeOnSource({ checks, lab, say }: WalkThrough, host: Host): Promise<void> {
  say("source: INSERT INTO humanresources.department while the migration runs");
  await lab.source.query(
    "INSERT INTO humanresources.department VALUES (17, 'Logistics', 'Inventory Management', DEFAULT)",
    { database },
  );
  const deadline = Date.now() + latencyWithinMs;
  for (;;) {
    const details = statusOf(await succeed(host.refresh(), host)).currentSubStateDetails.dbDetails[database]!;
    const caughtUp = details.cdcInsertCounter >= 1 && details.latency === 0;
    if (caughtUp || Date.now() > deadline) {
      checks.equal("online: inserts followed", details.cdcInsertCounter, 1);
      checks.equal("online: latency in seconds", details.latency, 0);
      return;
    }
    await sleep(500);
  }
}

async function cutOver(walk: WalkThrough): Promise<void> {
  const { checks, lab, say } = walk;
  say("cutover: pulumi config set triggerCutover true, pulumi up");
  const host = program(walk, "online", { overwriteDbsInTarget: "true", triggerCutover: "true" });
  const status = statusOf(await succeed(host.up()));
  checks.equal("cutover: state", status.state, "Succeeded");
  checks.equal("cutover: tables equal", status.currentSubStateDetails.dbDetails[database]!.tablesCompared, tables);
  checks.equal("cutover: tables on the target", await countTables(lab), tables);
  checks.equal("cutover: department 17 on the target", (await departments(lab))[16] ?? "missing", "Logistics");
}

async function checkNothingLeft({ checks, lab }: WalkThrough): Promise<void> {
  const [source] = await lab.source.query<{ slots: string; publications: string }>(
    `SELECT (SELECT count(*) FROM pg_replication_slots) AS slots, (SELECT count(*) FROM pg_publication) AS publications`,
    { database },
  );
  checks.equal("clean: slots on the source", source!.slots, 0);
  checks.equal("clean: publications on the source", source!.publications, 0);
  const [target] = await lab.target.query<{ schemas: string; sessions: string }>(
    `SELECT (SELECT count(*) FROM pg_namespace WHERE nspname = 'pgmigration') AS schemas,
            (SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'pg-migration%') AS sessions`,
  );
  checks.equal("clean: records on the target", target!.schemas, 0);
  checks.equal("clean: sessions on the target", target!.sessions, 0);
}

async function countTables({ target, administrator }: Lab): Promise<number> {
  const rows = await target.query<{ count: string }>(
    `SELECT count(*) FROM pg_tables
      WHERE schemaname IN ('humanresources', 'person', 'production', 'purchasing', 'sales')`,
    { database, login: administrator },
  );
  return Number(rows[0]!.count);
}

async function departments({ target, administrator }: Lab): Promise<string[]> {
  const rows = await target.query<{ name: string }>(
    "SELECT name FROM humanresources.department ORDER BY departmentid",
    { database, login: administrator },
  );
  return rows.map(({ name }) => name);
}

class DemoFailed extends Error {
  override readonly name = "DemoFailed";
}

/** A refresh updates resources, but not the stack's outputs. An `up` without changes recomputes them. */
async function succeed(operation: Promise<OperationResult>, recompute?: Host): Promise<OperationResult> {
  const result = await operation;
  if (result.ok) return recompute ? succeed(recompute.up()) : result;
  const reasons = result.diagnostics.filter(({ severity }) => severity === "error").map(({ message }) => message);
  throw new DemoFailed(reasons.join("\n") || "the deployment failed and did not say why");
}

function statusOf(result: OperationResult): MigrationStatus {
  return result.outputs.status as unknown as MigrationStatus;
}
