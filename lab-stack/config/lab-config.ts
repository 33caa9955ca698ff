import * as pulumi from "@pulumi/pulumi";
import type { z } from "zod";
import { LabError } from "../lab-error";
import { crossFieldChecks } from "./cross-field-checks";
import { type LabConfig, labSchema } from "./lab-schema";
import { describeIssue } from "./schema-messages";
import { zoneNameOf } from "./zone-name";

/** The stack's configuration is invalid. The message lists every wrong key with its rule. */
export class InvalidLabConfigError extends LabError {
  constructor(readonly failures: readonly string[]) {
    super(`The lab's configuration is invalid:\n${failures.map((failure) => `  ${failure}`).join("\n")}`);
  }
}

/** These keys are read as secrets where they are used. */
const secretKeys = ["administratorPassword", "sourcePassword", "registryPassword", "vpnSharedKey"];

/** Reads the stack's configuration. @throws InvalidLabConfigError */
export function readLabConfig(config: pulumi.Config, stack: string): LabConfig {
  const prefix = `${config.name}:`;
  const raw: Record<string, unknown> = {};
  for (const [fullKey, value] of Object.entries(pulumi.runtime.allConfig())) {
    const key = fullKey.slice(prefix.length);
    if (!fullKey.startsWith(prefix) || secretKeys.includes(key)) continue;
    raw[key] = /^\s*[[{]/.test(value) ? config.getObject(key) : value;
  }
  return parseLabConfig(raw, stack);
}

/** @throws InvalidLabConfigError with all invalid keys at once */
export function parseLabConfig(raw: unknown, stack: string): LabConfig {
  const parsed = labSchema.safeParse(raw, { error: describeIssue });
  if (!parsed.success) throw new InvalidLabConfigError(parsed.error.issues.flatMap(linesOf));
  const { vpn, ...rest } = parsed.data;
  const { name: lab, topology, privateDnsZone } = rest;
  const config: LabConfig = {
    ...rest,
    addressPlan: {
      ...rest.addressPlan,
      source: rest.sourceServer ? (rest.addressPlan.source ?? "10.0.5.0/24") : undefined,
    },
    serverName: rest.server.name ?? `psql-${lab}-${stack}`,
    zoneName: zoneNameOf({ lab, stack, topology, privateDnsZone }),
    vpn: { ...vpn, enabled: vpn.enabled ?? topology !== "public" },
  };
  const failures = crossFieldChecks(config);
  if (failures.length > 0) throw new InvalidLabConfigError(failures.map(({ key, message }) => `${key}: ${message}`));
  return config;
}

/** One line for each failure, as `key: message`. */
function linesOf({ code, path, message }: z.core.$ZodIssue): string[] {
  const key = path.map(String).join(".");
  if (code !== "unrecognized_keys") return [`${key}: ${message}`];
  return message.split("\n").map((line) => (key === "" ? line : `${key}.${line}`));
}
