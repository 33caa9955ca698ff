import * as pulumi from "@pulumi/pulumi";
import { readExistingServer } from "./server/existing-server";
import { declareLab } from "./lab";
import { readLabConfig } from "./config/lab-config";
import { parametersFromSource } from "./source/parameters-from-source";

export = async () => {
  const pulumiConfig = new pulumi.Config();
  const config = readLabConfig(pulumiConfig, pulumi.getStack());
  const fromSource = await parametersFromSource(config, pulumiConfig.getSecret("sourcePassword"));
  return declareLab(config, { fromSource, existing: await readExistingServer(config) });
};
