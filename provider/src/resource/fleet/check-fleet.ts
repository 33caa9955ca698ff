import * as pulumi from "@pulumi/pulumi";
import { checkInputs } from "../../inputs/check-inputs.js";
import { hasOpenPatterns } from "../../inputs/database-patterns.js";
import { targetDatabase } from "../../inputs/target-database.js";
import { unknownValue } from "../../inputs/unknown-value.js";
import type { PgMigrationArgs } from "../pg-migration.js";

/** A member with the defaults, and where it is described. */
export interface CompleteMember {
  readonly name: string;
  readonly place: string;
  readonly wave: number;
  readonly args: PgMigrationArgs;
}

/** The members that can be declared, in the order of their waves, and what is wrong with the others. */
export interface CheckedFleet {
  readonly members: readonly CompleteMember[];
  readonly problems: readonly string[];
}

/** Checks the values of all members that are known already, and that no two members have the same name or target database. */
export function checkFleet(all: readonly CompleteMember[]): CheckedFleet {
  const problems: string[] = [];
  const names = new Map<string, CompleteMember>();
  const databases = new Map<string, CompleteMember>();
  const members = all.filter((member) => {
    const failures = failuresOf(member, names, databases);
    problems.push(...failures.map((failure) => `${member.place}: ${failure}`));
    return failures.length === 0;
  });
  return { members: [...members].sort((one, other) => one.wave - other.wave), problems };
}

function failuresOf(
  member: CompleteMember,
  names: Map<string, CompleteMember>,
  databases: Map<string, CompleteMember>,
): string[] {
  const namesake = names.get(member.name);
  if (namesake) return [`two members are named ${member.name}: the other one is at ${namesake.place}`];
  const known = knownValues({ migrationName: member.name, ...member.args }) as Record<string, unknown>;
  const { failures } = checkInputs(known);
  if (failures.length > 0) return failures.map(({ property, reason }) => `${property}: ${reason}`);
  const targets = targetDatabasesOf(known);
  const taken = targets.find((database) => databases.has(database));
  if (taken !== undefined)
    return [
      `${member.name} and ${databases.get(taken)!.name} migrate into the same database ${taken}; remove one of the two`,
    ];
  names.set(member.name, member);
  for (const database of targets) databases.set(database, member);
  return [];
}

/** `host:port/database` for each database that is named, not selected by a pattern. */
function targetDatabasesOf(known: Readonly<Record<string, unknown>>): string[] {
  const { declared, inputs } = checkInputs(known);
  const target = (known.target ?? {}) as { readonly host?: unknown; readonly port?: string | number };
  if (!declared || typeof target.host !== "string" || target.host === unknownValue || hasOpenPatterns(known)) return [];
  const port = inputs?.target.port ?? target.port ?? 5432;
  return declared.dbsToMigrate
    .filter((database) => database !== unknownValue)
    .map((database) => `${String(target.host).toLowerCase()}:${port}/${targetDatabase(declared, database)}`);
}

/** Outputs and promises are not known while the program runs. */
function knownValues(value: unknown): unknown {
  if (pulumi.Output.isInstance(value) || value instanceof Promise) return unknownValue;
  if (Array.isArray(value)) return value.map(knownValues);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, knownValues(one)]));
}
