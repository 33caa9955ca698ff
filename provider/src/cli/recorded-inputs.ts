import { parseInputs } from "../inputs/check-inputs.js";
import type { Inputs } from "../inputs/inputs.js";
import type { Endpoint } from "../postgres/connection/connect.js";
import type { MigrationSummary } from "../store/list-migrations.js";
import { webhookInput } from "./options/webhook-environment.js";
import { sourceOf, type SourceFlags } from "./options/server-options.js";

/** The inputs that a migration was recorded with; passwords, which no record has, come from where the command finds them. */
export async function recordedInputs(
  migration: MigrationSummary,
  target: Endpoint,
  flags: SourceFlags,
): Promise<Inputs> {
  const source = await sourceOf(flags, migration.wish.source);
  return inputsWith(migration, target, source);
}

/** For what never connects to the source: its password is not asked for. */
export function inputsWithoutSource(migration: MigrationSummary, target: Endpoint): Inputs {
  return inputsWith(migration, target, { ...migration.wish.source, password: "(not used)" });
}

function inputsWith({ wish }: MigrationSummary, target: Endpoint, source: Endpoint): Inputs {
  const { user, password } = target;
  return parseInputs({ ...wish, ...webhookInput(), source, target: { ...wish.target, user, password } });
}
