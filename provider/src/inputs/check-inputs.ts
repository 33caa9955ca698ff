import type { InputFailure } from "../errors.js";
import type { z } from "zod";
import { InvalidInputError } from "../errors.js";
import { filterSchema } from "./filter.js";
import {
  adminCredentialsSchema,
  inputsOf,
  inputsSchema,
  secretParametersSchema,
  timeoutsSchema,
  webhookSchema,
  type DeclaredInputs,
  type Inputs,
} from "./inputs.js";
import { isSameHost, serverSchema } from "./server.js";
import { resolveServers, serverKeys } from "./resolve-servers.js";
import { contradictionsOf, hasOpenPatterns } from "./database-patterns.js";
import { defaultMaintenanceDatabase } from "./maintenance-database.js";
import { nearestName } from "./nearest-name.js";
import { targetDatabase } from "./target-database.js";
import { parseUtcTime } from "../units/utc-time.js";
import { containsUnknown, touchesUnknown } from "./unknown-value.js";

export interface CheckedInputs {
  /** Inputs with defaults, under the program's own keys; undefined if a property is invalid. */
  readonly declared: DeclaredInputs | undefined;
  /** Inputs for the engine; undefined if a check fails, a value is not known yet, or a pattern is not resolved. */
  readonly inputs: Inputs | undefined;
  readonly failures: readonly InputFailure[];
}

/** Parses all inputs. @throws InvalidInputError naming every invalid property */
export function parseInputs(raw: Readonly<Record<string, unknown>>): Inputs {
  const { inputs, failures } = checkInputs(raw);
  if (failures.length > 0 || !inputs) throw new InvalidInputError(failures);
  return inputs;
}

/** Checks known values, one by one and against each other. Unknown values of a preview, and patterns, are accepted. */
export function checkInputs(raw: Readonly<Record<string, unknown>>): CheckedInputs {
  const parsed = parse(raw);
  const issues = (parsed.error?.issues ?? []).filter((issue) => !touchesUnknown(raw, issue.path));
  const wrong = wrongProperties(issues);
  const isOpen = hasOpenPatterns(raw);
  const unusable = (key: string): boolean =>
    wrong.has(key) || containsUnknown(raw[key]) || (isOpen && key === "dbsToMigrate");
  // Rules about invalid or unknown properties are skipped.
  const known = parseUsable(raw, wrong);
  const failures = [
    ...issues.flatMap(explain),
    ...rules.filter(({ about }) => !about.some(unusable)).flatMap((rule) => rule.failures(known)),
  ];
  const declared = parsed.data;
  if (!declared || failures.length > 0 || isOpen || containsUnknown(raw))
    return { declared, inputs: undefined, failures };
  const { servers } = resolveServers(declared);
  return { declared, inputs: servers && inputsOf(declared, servers), failures };
}

/**
 * Parses inputs that another version of this package stored, as far as possible, so that its migration can be removed.
 *
 * @throws InvalidInputError when they do not describe both servers
 */
export function understandInputs(raw: Readonly<Record<string, unknown>>): Inputs {
  const known = knownInputs(raw);
  const { servers, failures } = resolveServers(known);
  if (!servers) throw new InvalidInputError(failures);
  return inputsOf(known, servers);
}

/** Inputs with defaults for those that are wrong or not known yet. */
export const knownInputs = (raw: Readonly<Record<string, unknown>>): DeclaredInputs =>
  parseUsable(raw, wrongProperties(parse(raw).error?.issues ?? []));

const wrongProperties = (issues: readonly z.core.$ZodIssue[]): ReadonlySet<string> =>
  new Set(issues.map((issue) => String(issue.path[0])));

/** Replaces invalid and unknown values by defaults. */
function parseUsable(raw: Readonly<Record<string, unknown>>, wrong: ReadonlySet<string>): DeclaredInputs {
  const usable = Object.entries(raw).filter(
    ([key, value]) => Object.hasOwn(inputsSchema.shape, key) && !wrong.has(key) && !containsUnknown(value),
  );
  return inputsSchema.partial().parse(Object.fromEntries(usable)) as DeclaredInputs;
}

/** A condition that concerns several properties. */
interface Rule {
  readonly about: readonly (keyof DeclaredInputs)[];
  readonly failures: (inputs: DeclaredInputs) => readonly InputFailure[];
}

const rules: readonly Rule[] = [
  { about: serverKeys, failures: (inputs) => resolveServers(inputs).failures },
  {
    about: serverKeys,
    failures: (inputs) => {
      const { servers } = resolveServers(inputs);
      if (!servers || servers.source.port !== servers.target.port) return [];
      if (!isSameHost(servers.source.host, servers.target.host)) return [];
      return [{ property: "target", reason: "source and target are the same server; set another one" }];
    },
  },
  {
    about: ["triggerCutover", "migrationMode"],
    failures: ({ triggerCutover, migrationMode }) =>
      triggerCutover && migrationMode === "Offline"
        ? [
            {
              property: "triggerCutover",
              reason: "603114: an offline migration has no cutover; remove it, or set migrationMode to Online",
            },
          ]
        : [],
  },
  ...(["verifyBeforeCutover", "verifyNow", "cutoverWindow"] as const).map(onlineOnly),
  {
    about: ["offlineWrites", "migrationMode"],
    failures: ({ offlineWrites, migrationMode }) =>
      offlineWrites === "fail" && migrationMode === "Online"
        ? [
            {
              property: "offlineWrites",
              reason: "an online migration replicates later writes; remove it, or set migrationMode to Offline",
            },
          ]
        : [],
  },
  {
    about: ["rollback", "migrationMode", "triggerCutover"],
    failures: ({ rollback, migrationMode, triggerCutover }) => {
      if (rollback !== "drop" && migrationMode === "Offline")
        return [
          { property: "rollback", reason: "an offline migration does not replicate changes of its target; use Online" },
        ];
      if (rollback === "return" && !triggerCutover)
        return [
          {
            property: "rollback",
            reason: "return requires a cutover, and this migration is not cut over; use keep or drop",
          },
        ];
      return [];
    },
  },
  {
    about: ["waitFor", "migrationMode"],
    failures: ({ waitFor, migrationMode }) =>
      waitFor === "cutoverReady" && migrationMode === "Offline"
        ? [{ property: "waitFor", reason: "an offline migration has no cutover to wait for; use succeeded or started" }]
        : [],
  },
  {
    about: ["dbsToMigrate", "waitForConfirmation"],
    failures: ({ dbsToMigrate, waitForConfirmation }) =>
      dbsToMigrate.length === 0 && !waitForConfirmation
        ? [
            {
              property: "dbsToMigrate",
              reason: "give at least one database, or set waitForConfirmation to give them in a later update",
            },
          ]
        : [],
  },
  {
    about: ["dbsToMigrate", "maintenanceDatabase", "databaseNames"],
    failures: (inputs) => {
      const maintenance = inputs.maintenanceDatabase ?? defaultMaintenanceDatabase(inputs);
      if (!inputs.dbsToMigrate.some((database) => targetDatabase(inputs, database) === maintenance)) return [];
      const what = `${maintenance} is the target's maintenance database, which contains the migration's records`;
      return [{ property: "dbsToMigrate", reason: `${what}; set another maintenanceDatabase to migrate it` }];
    },
  },
  { about: ["dbsToMigrate", "databaseNames"], failures: contradictoryNames },
  {
    // A list with open patterns is usable for this rule only.
    about: ["dbsToMigratePatterns"],
    failures: (inputs) =>
      hasOpenPatterns(inputs)
        ? contradictionsOf(inputs.dbsToMigrate).map((reason) => ({ property: "dbsToMigrate", reason }))
        : [],
  },
  {
    about: ["schemaOnly", "dataOnly"],
    failures: ({ schemaOnly, dataOnly }) =>
      schemaOnly && dataOnly
        ? [{ property: "dataOnly", reason: "schemaOnly and dataOnly together leave nothing to migrate" }]
        : [],
  },
  {
    about: ["schemaOnly", "migrationMode"],
    failures: ({ schemaOnly, migrationMode }) =>
      schemaOnly && migrationMode === "Online"
        ? [{ property: "schemaOnly", reason: "schemaOnly has no changes to replicate; use Offline" }]
        : [],
  },
  partialList("dbsToTriggerCutoverOn", "triggerCutover"),
  partialList("dbsToCancelMigrationOn", "cancel"),
  {
    about: ["cancel", "dbsToCancelMigrationOn", "triggerCutover"],
    failures: ({ cancel, dbsToCancelMigrationOn, triggerCutover }) =>
      cancel && dbsToCancelMigrationOn.length === 0 && triggerCutover
        ? [{ property: "cancel", reason: "a migration can be either canceled or cut over; remove one of the two" }]
        : [],
  },
  {
    about: ["migrationWindowStartTimeInUtc", "migrationWindowEndTimeInUtc"],
    failures: ({ migrationWindowStartTimeInUtc: start, migrationWindowEndTimeInUtc: end }) =>
      start !== undefined && end !== undefined && parseUtcTime(end) <= parseUtcTime(start)
        ? [{ property: "migrationWindowEndTimeInUtc", reason: `the window ends before it starts at ${start}` }]
        : [],
  },
];

function onlineOnly(property: "verifyBeforeCutover" | "verifyNow" | "cutoverWindow"): Rule {
  const does = property === "cutoverWindow" ? "has no cutover" : "compares after the copy";
  const reason = `an offline migration ${does}; remove it, or set migrationMode to Online`;
  return {
    about: [property, "migrationMode"],
    failures: (inputs) => (inputs[property] && inputs.migrationMode === "Offline" ? [{ property, reason }] : []),
  };
}

function contradictoryNames({ dbsToMigrate, databaseNames }: DeclaredInputs): InputFailure[] {
  const failures: InputFailure[] = [];
  const unknown = Object.keys(databaseNames).filter((name) => !dbsToMigrate.includes(name));
  if (unknown.length > 0)
    failures.push({ property: "databaseNames", reason: `${unknown.join(", ")} is not among dbsToMigrate` });
  const targetNames = dbsToMigrate.map((database) => targetDatabase({ databaseNames }, database));
  if (new Set(targetNames).size < targetNames.length)
    failures.push({ property: "databaseNames", reason: "two databases have the same name on the target" });
  return failures;
}

/** A list of the migration's databases for which a switch is effective. */
function partialList(
  list: "dbsToTriggerCutoverOn" | "dbsToCancelMigrationOn",
  trigger: "triggerCutover" | "cancel",
): Rule {
  return {
    about: [list, trigger, "dbsToMigrate"],
    failures: (inputs) => [
      ...inputs[list]
        .filter((name) => !inputs.dbsToMigrate.includes(name))
        .map((name) => ({ property: list, reason: `${name} is not in dbsToMigrate` })),
      ...(inputs[list].length > 0 && !inputs[trigger]
        ? [{ property: list, reason: `has no effect without ${trigger}: set ${trigger} to true, too` }]
        : []),
    ],
  };
}

/**
 * Reports the input value with each issue. Otherwise a value of a wrong type could not be distinguished from a missing
 * one.
 */
const parse = (raw: unknown): ReturnType<typeof inputsSchema.safeParse> =>
  inputsSchema.safeParse(raw, { reportInput: true });

function explain(issue: z.core.$ZodIssue): InputFailure[] {
  if (issue.code !== "unrecognized_keys") return [{ property: propertyPath(issue.path), reason: reasonOf(issue) }];
  return issue.keys.map((key) => {
    const nearest = nearestName(key, knownKeys(issue.path));
    const hint = nearest === undefined ? "" : `; did you mean ${nearest}?`;
    return { property: propertyPath([...issue.path, key]), reason: `unknown input${hint}` };
  });
}

/** Descriptions of the types that a schema expects. For numbers, the number's own schema describes the limits. */
const kinds: Readonly<Record<string, string>> = {
  array: 'a list, such as ["one", "two"]',
  object: "an object with keys of its own",
  record: "an object with a value for each name",
  string: "a string",
};

function reasonOf(issue: z.core.$ZodIssue): string {
  if (issue.code === "invalid_type" && kinds[issue.expected])
    return issue.input === undefined ? `is missing: give ${kinds[issue.expected]!}` : `give ${kinds[issue.expected]!}`;
  if (issue.code === "invalid_value")
    return `expected one of ${issue.values.map((value) => JSON.stringify(value)).join(", ")}`;
  return issue.message;
}

const propertyPath = (path: readonly PropertyKey[]): string =>
  path.reduce<string>(
    (text, key) => (typeof key === "number" ? `${text}[${key}]` : `${text}${text && "."}${String(key)}`),
    "",
  );

const nested: ReadonlyMap<string, z.ZodObject> = new Map<string, z.ZodObject>([
  ["include", filterSchema],
  ["exclude", filterSchema],
  ["source", serverSchema],
  ["target", serverSchema],
  ["secretParameters", secretParametersSchema],
  ["adminCredentials", adminCredentialsSchema],
  ["timeouts", timeoutsSchema],
  ["webhook", webhookSchema],
]);

function knownKeys(path: readonly PropertyKey[]): string[] {
  const schema = path.length === 0 ? inputsSchema : nested.get(String(path.at(-1)));
  return Object.keys(schema?.shape ?? {});
}
