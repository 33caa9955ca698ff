import * as pulumi from "@pulumi/pulumi";
import { azureProvider } from "./provider";

void pulumi.provider.main(azureProvider(process.env.AZURE_STAND_IN ?? ""), process.argv.slice(2));
