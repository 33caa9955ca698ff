import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "pg";
import type { MigrationStatus } from "pulumi-pg-migration";
import type { Connection as AdventureWorksConnection } from "../adventureworks/create-adventureworks";
import type { Checks } from "../demo/checks";
import type { Host, OperationResult } from "../pulumi-host/host";

export interface Connection extends AdventureWorksConnection {
  /** Whether the server requires TLS. */
  readonly tls?: boolean;
}

/** Keys of the lab's configuration below `migration`. */
export interface MigrationSettings {
  readonly name: string;
  readonly mode: "Offline" | "Online";
  readonly overwrite?: boolean;
  readonly triggerCutover?: boolean;
}

export interface LabWalk {
  /** The lab with a migration. */
  readonly deploy: (migration: MigrationSettings) => Host;
  /** AdventureWorks on the source, and the same database on the target. */
  readonly source: Connection;
  readonly target: Connection;
  readonly checks: Checks;
  readonly say: (line: string) => void;
}

const tables = 68;
const latencyWithinMs = 120_000;

/** Migrates AdventureWorks offline, then online with a cutover, by `pulumi up` of the lab, and checks each step. */
export async function walkLab(walk: LabWalk): Promise<void> {
  await migrateOffline(walk);
  await migrateOnline(walk);
  await writeOnSource(walk);
  await cutOver(walk);
}

async function migrateOffline({ deploy, checks, say, source, target }: LabWalk): Promise<void> {
  say("offline: pulumi up");
  const status = statusOf(await succeed(deploy({ name: "acceptance-offline", mode: "Offline" }).up()));
  const details = detailsOf(status, source);
  checks.equal("offline: state", status.state, "Succeeded");
  checks.equal("offline: tables copied", details.fullLoadCompletedTables, tables);
  checks.equal("offline: tables compared row by row", details.tablesCompared, tables);
  checks.equal("offline: departments on the target", (await departments(target)).length, 16);
}

const online: MigrationSettings = { name: "acceptance-online", mode: "Online", overwrite: true };

async function migrateOnline({ deploy, checks, say, target }: LabWalk): Promise<void> {
  say("online: pulumi up, replaces the same database");
  const status = statusOf(await succeed(deploy(online).up()));
  checks.equal("online: state", status.state, "WaitingForUserAction");
  checks.equal("online: substate", status.currentSubStateDetails.currentSubState, "WaitingForCutoverTrigger");
  checks.equal("online: departments on the target", (await departments(target)).length, 16);
}

async function writeOnSource({ checks, say, source, target }: LabWalk): Promise<void> {
  say("source: INSERT INTO humanresources.department while the migration runs");
  await query(
    source,
    "INSERT INTO humanresources.department VALUES (17, 'Logistics', 'Inventory Management', DEFAULT)",
  );
  const deadline = Date.now() + latencyWithinMs;
  while ((await departments(target)).length < 17 && Date.now() < deadline) await sleep(1000);
  checks.equal("online: department 17 on the target", (await departments(target))[16] ?? "missing", "Logistics");
}

async function cutOver({ deploy, checks, say, source, target }: LabWalk): Promise<void> {
  say("cutover: pulumi config set migration.triggerCutover true, pulumi up");
  const status = statusOf(await succeed(deploy({ ...online, triggerCutover: true }).up()));
  checks.equal("cutover: state", status.state, "Succeeded");
  checks.equal("cutover: tables equal", detailsOf(status, source).tablesCompared, tables);
  const [left] = await query<{ slots: string }>(source, "SELECT count(*) AS slots FROM pg_replication_slots");
  checks.equal("cutover: slots on the source", left!.slots, 0);
  const next = "SELECT nextval('humanresources.department_departmentid_seq') AS id";
  const [[here], [there]] = await Promise.all([
    query<{ id: string }>(source, next),
    query<{ id: string }>(target, next),
  ]);
  checks.equal("cutover: next department on the target", there!.id, here!.id);
}

async function departments(place: Connection): Promise<string[]> {
  const rows = await query<{ name: string }>(place, "SELECT name FROM humanresources.department ORDER BY departmentid");
  return rows.map(({ name }) => name);
}

async function query<Row>(place: Connection, sql: string): Promise<Row[]> {
  const client = new Client({ ...place, ssl: place.tls === true });
  await client.connect();
  try {
    return (await client.query(sql)).rows as Row[];
  } finally {
    await client.end();
  }
}

class AcceptanceFailed extends Error {
  override readonly name = "AcceptanceFailed";
}

/** @throws AcceptanceFailed with the errors of the deployment */
export async function succeed(operation: Promise<OperationResult>): Promise<OperationResult> {
  const result = await operation;
  if (result.ok) return result;
  const reasons = result.diagnostics.filter(({ severity }) => severity === "error").map(({ message }) => message);
  throw new AcceptanceFailed(reasons.join("\n") || "the deployment failed without a reason");
}

const statusOf = ({ outputs }: OperationResult): MigrationStatus => outputs.migration as unknown as MigrationStatus;

const detailsOf = ({ currentSubStateDetails: { dbDetails } }: MigrationStatus, { database }: Connection) =>
  dbDetails[database]!;
