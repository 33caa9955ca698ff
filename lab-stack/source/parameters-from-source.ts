import * as pulumi from "@pulumi/pulumi";
import { InvalidLabConfig, type LabConfig } from "../lab-config";
import { type ParameterProposal, serverParametersFrom } from "./source-settings";

/**
 * The parameters that the configuration's `parameters.fromSource` takes from the migration's source: none, none but each
 * told as a warning, or all.
 *
 * @throws InvalidLabConfig, SettingsUnreadable
 */
export async function parametersFromSource(
  { parameters, migration }: LabConfig,
  password: pulumi.Output<string> | undefined,
): Promise<Record<string, string>> {
  if (parameters.fromSource === "ignore") return {};
  if (!migration || !password)
    throw new InvalidLabConfig(["parameters.fromSource: needs migration.source, and the secret sourcePassword"]);
  const { host, port, user, sslMode } = migration.source;
  const known = await new Promise<string>((resolve) => void password.apply(resolve));
  const proposals = await serverParametersFrom({ host, port, user, password: known, sslMode });
  if (parameters.fromSource === "apply") return Object.fromEntries(proposals.map(({ name, value }) => [name, value]));
  for (const proposal of proposals) await pulumi.log.warn(sentence(proposal));
  return {};
}

const sentence = ({ name, value, instead, why }: ParameterProposal): string =>
  `the source has ${name} = ${value} instead of ${instead}, which ${why}; ` +
  `pulumi config set --path 'parameters.more["${name}"]' '${value}' takes it over`;
