import type { Command } from "commander";
import { formatTable } from "../../display/format-table.js";
import { inputsSchema } from "../../inputs/inputs.js";
import { findMigration } from "../../store/list-migrations.js";
import { addMigrationOptions, readMigrationFlags, type MigrationFlags } from "../options/migration-options.js";
import { withStore } from "../migration/open-store.js";
import { migrationType } from "../output/azure-resource.js";
import { addOutputOption, print, type OutputFlags } from "../output/print.js";

interface Availability {
  readonly name: string;
  readonly type: typeof migrationType;
  readonly nameAvailable: boolean;
  readonly reason: "Invalid" | "AlreadyExists" | null;
  readonly message: string;
}

export function addCheckNameAvailability(program: Command): void {
  const command = program.command("check-name-availability").description("check whether a migration name is available");
  addOutputOption(addMigrationOptions(command), "json")
    .addHelpText("after", "\nExample:\n  pg-migration check-name-availability --service prod --name crm")
    .action(async (flags: MigrationFlags & OutputFlags) => {
      const answer = await availability(flags);
      await print(flags, answer, () =>
        formatTable(
          ["Name available", "Reason", "Message"],
          [[answer.nameAvailable ? "yes" : "no", answer.reason ?? "", answer.message]],
        ),
      );
    });
}

async function availability(flags: MigrationFlags): Promise<Availability> {
  const { name, target } = readMigrationFlags(flags);
  const proxy = { name, type: migrationType } as const;
  const parsed = inputsSchema.shape.migrationName.safeParse(name);
  if (!parsed.success)
    return {
      ...proxy,
      nameAvailable: false,
      reason: "Invalid",
      message: parsed.error.issues.map(({ message }) => message).join("; "),
    };
  return withStore(target, async (store) => {
    const taken = store && (await findMigration(store, name));
    if (!taken) return { ...proxy, nameAvailable: true, reason: null, message: `${name} is available` };
    return {
      ...proxy,
      nameAvailable: false,
      reason: "AlreadyExists",
      message: `a migration ${name} exists on that server, in state ${taken.state}`,
    };
  });
}
