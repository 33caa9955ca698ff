import type { Command } from "commander";
import { Canceled } from "../../errors.js";
import { readStatus } from "../../store/read-status.js";
import { runMigration } from "../../worker/run.js";
import { exitCodeOfStatus } from "../exit-code.js";
import { addMigrationOptions, type MigrationFlags } from "../migration-flags.js";
import { withMigration } from "../open-store.js";
import { recordedInputs } from "../recorded-inputs.js";
import { addSourceOptions, type SourceFlags } from "../server-options.js";

const examples = `
Example, as a systemd unit or a container runs it (passwords in its environment, or in ~/.pgpass):
  PGPASSWORD=... PG_MIGRATION_SOURCE_PASSWORD=... pg-migration worker --service prod --name crm

It does the work of a recorded migration in the foreground, and ends when that has ended or another worker has it.`;

export function addWorker(program: Command): void {
  const command = program.command("worker").description("do a recorded migration's work in this process");
  addSourceOptions(addMigrationOptions(command)).addHelpText("after", examples).action(work);
}

async function work(flags: MigrationFlags & SourceFlags): Promise<void> {
  const job = await withMigration(flags, ({ migration, target }) => recordedInputs(migration, target, flags));
  const stop = new AbortController();
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const)
    process.once(signal, () => stop.abort(new Canceled(`the worker was told to stop by ${signal}`)));
  await runMigration(job, stop.signal);
  await withMigration(flags, async ({ store, migration }) => {
    const status = await readStatus(store, migration.name);
    if (status) process.exitCode = exitCodeOfStatus(status);
  });
}
