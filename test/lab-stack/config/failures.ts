import assert from "node:assert/strict";
import { InvalidLabConfigError, parseLabConfig } from "../../../lab-stack/config/lab-config";

/** The lines of the error that a configuration causes, as `key: message`. */
export function failuresOf(raw: unknown, stack = "dev"): string {
  try {
    parseLabConfig(raw, stack);
  } catch (error) {
    assert(error instanceof InvalidLabConfigError);
    return error.failures.join("\n");
  }
  throw new assert.AssertionError({ message: "the configuration was accepted" });
}

export const migration = { source: { host: "192.168.1.10", user: "postgres" }, databases: ["adventureworks"] };

export const resource = (path: string): string => `/subscriptions/s/resourceGroups/g/providers/${path}`;
