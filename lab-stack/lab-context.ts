import type * as resources from "@pulumi/azure-native/resources";
import type { LabConfig } from "./config/lab-schema";
import type { Naming } from "./resource-names";

/** What every part of the lab needs. */
export interface LabContext {
  readonly config: LabConfig;
  readonly naming: Naming;
  readonly group: resources.ResourceGroup;
}
