import * as pulumi from "@pulumi/pulumi";
import { InvalidLabConfigError } from "../config/lab-config";
import type { LabConfig } from "../config/lab-schema";
import { type ParameterProposal, serverParametersFrom } from "./source-settings";

/**
 * Returns the parameters to copy from the migration's source. `parameters.fromSource` decides: none (`ignore`), none
 * but a warning for each (`propose`), or all (`apply`).
 *
 * @throws InvalidLabConfigError, SettingsUnreadableError
 */
export async function parametersFromSource(
  { parameters, migration }: LabConfig,
  password: pulumi.Output<string> | undefined,
): Promise<Record<string, string>> {
  if (parameters.fromSource === "ignore") return {};
  if (!migration || !password)
    throw new InvalidLabConfigError(["parameters.fromSource: needs migration.source and the secret sourcePassword"]);
  const { host, port, user, sslMode } = migration.source;
  const known = await new Promise<string>((resolve) => void password.apply(resolve));
  const proposals = await serverParametersFrom({ host, port, user, password: known, sslMode });
  if (parameters.fromSource === "apply") return Object.fromEntries(proposals.map(({ name, value }) => [name, value]));
  for (const proposal of proposals) await pulumi.log.warn(warningOf(proposal));
  return {};
}

const warningOf = ({ name, value, targetValue, reason }: ParameterProposal): string =>
  `the source has ${name} = ${value} instead of ${targetValue}, which ${reason}. ` +
  `To copy it: pulumi config set --path 'parameters.more["${name}"]' '${value}'`;
