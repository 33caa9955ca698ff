import { parseInputs } from "../../inputs/check-inputs.js";
import { completeSpec, type Inputs } from "../../inputs/inputs.js";
import type { Endpoint } from "../../postgres/connection/endpoint.js";
import type { MigrationSummary } from "../../store/list-migrations.js";
import { webhookInput } from "../options/webhook-environment.js";
import { resolveSource, type SourceFlags } from "../options/server-options.js";

/** The recorded inputs of a migration. Passwords are not recorded: they come from the environment, files or a prompt. */
export async function recordedInputs(
  migration: MigrationSummary,
  target: Endpoint,
  flags: SourceFlags,
  canPrompt = true,
): Promise<Inputs> {
  const source = await resolveSource(flags, migration.spec.source, canPrompt);
  return inputsWith(migration, target, source);
}

/** For operations that never connect to the source, and so need no password of it. */
export function inputsWithoutSource(migration: MigrationSummary, target: Endpoint): Inputs {
  const { auth: _auth, ...source } = migration.spec.source;
  return inputsWith(migration, target, { ...source, password: "(not used)" });
}

function inputsWith({ spec }: MigrationSummary, target: Endpoint, source: Endpoint): Inputs {
  const { user, password, auth } = target;
  const recorded = { ...completeSpec(spec), ...webhookInput(), source };
  return parseInputs({ ...recorded, target: { ...spec.target, user, password, auth } });
}
