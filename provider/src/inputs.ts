import { z } from "zod";
import { InvalidInput } from "./errors.js";
import type { Endpoint } from "./postgres/connect.js";

/** What Pulumi hands over in a preview in place of a value that is not known yet (SDK, `runtime.unknownValue`). */
export const unknownValue = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";

const serverSchema = z.strictObject({
  host: z.string().min(1, "name the server: a host name or an address"),
  port: z.coerce.number().int().min(1).max(65535).default(5432),
  user: z.string().min(1, "name the role that logs in"),
  password: z.string().min(1, "give the role's password, from a secret"),
  sslMode: z.enum(["Disable", "Prefer", "Require", "VerifyCA", "VerifyFull"]).default("Prefer"),
  sslRootCert: z.string().min(1).optional(),
});

const databaseName = z
  .string()
  .min(1, "a database has a name")
  .refine((name) => Buffer.byteLength(name) <= 63, "PostgreSQL's names have at most 63 bytes")
  .refine((name) => !name.includes("\0"), "PostgreSQL's names have no NUL character")
  .refine(
    (name) => !["template0", "template1", "azure_maintenance", "azure_sys"].includes(name),
    "this database belongs to the server and is not migrated",
  );

/** How long a wait may take. */
const seconds = z.coerce.number().positive();

export const inputsSchema = z.strictObject({
  migrationName: z
    .string()
    .regex(
      /^[A-Za-z0-9][A-Za-z0-9-]{0,62}$/,
      "use letters, digits and hyphens, starting with a letter or digit, at most 63 (Azure's rule for names)",
    ),
  source: serverSchema,
  target: serverSchema,
  dbsToMigrate: z
    .array(databaseName)
    .min(1, "name at least one database")
    .refine((names) => new Set(names).size === names.length, "a database is named twice"),
  migrationMode: z.enum(["Offline", "Online"]).default("Offline"),
  migrationOption: z.enum(["Validate", "Migrate", "ValidateAndMigrate"]).default("ValidateAndMigrate"),
  overwriteDbsInTarget: z.boolean().default(false),
  triggerCutover: z.boolean().default(false),
  verification: z.enum(["none", "counts", "content"]).default("content"),
  /** Tables copied, and indexes built, at the same time. */
  tableJobs: z.coerce.number().int().min(1).max(64).default(4),
  indexJobs: z.coerce.number().int().min(1).max(64).default(4),
  maintenanceDatabase: databaseName.default("postgres"),
  timeouts: z
    .strictObject({
      createSeconds: seconds.optional(),
      updateSeconds: seconds.optional(),
      deleteSeconds: seconds.optional(),
    })
    .default({}),
  /** Set by the resource class: a newer package makes a difference, so that the provider's text in the state is renewed. */
  engineVersion: z.string().default(""),
  /** Set by the resource class: where live progress is shown. */
  resourceUrn: z.string().default(""),
});

/** Inputs as users and Pulumi give them, and with defaults filled in. */
export type RawInputs = z.input<typeof inputsSchema>;
export type Inputs = z.output<typeof inputsSchema>;

/** What goes into the store: everything but secrets, and what only this machine's Pulumi cares about. */
export interface Wish extends Omit<Inputs, "source" | "target" | "timeouts" | "engineVersion" | "resourceUrn"> {
  readonly source: Omit<Endpoint, "password">;
  readonly target: Omit<Endpoint, "password">;
}

/** @throws InvalidInput naming each property that is wrong, all at once */
export function parseInputs(raw: unknown): Inputs {
  const { inputs, failures } = checkInputs(raw);
  if (failures.length > 0 || !inputs) throw new InvalidInput(failures);
  return inputs;
}

export interface CheckedInputs {
  /** With defaults; undefined when something fails or is not known yet. */
  readonly inputs: Inputs | undefined;
  readonly failures: readonly { readonly property: string; readonly reason: string }[];
}

/** Checks what is known and lets unknown values of a preview through. */
export function checkInputs(raw: unknown): CheckedInputs {
  const parsed = inputsSchema.safeParse(raw);
  if (!parsed.success) {
    const failures = parsed.error.issues
      .filter((issue) => !touchesUnknown(raw, issue.path))
      .flatMap((issue) => explain(issue));
    return { inputs: undefined, failures };
  }
  return { inputs: parsed.data, failures: contradictions(parsed.data) };
}

function contradictions(inputs: Inputs): CheckedInputs["failures"] {
  const failures: { property: string; reason: string }[] = [];
  const { source, target } = inputs;
  if (source.host === target.host && source.port === target.port)
    failures.push({ property: "target", reason: "source and target are the same server; name another one" });
  if (inputs.triggerCutover && inputs.migrationMode === "Offline")
    failures.push({
      property: "triggerCutover",
      reason: "603114: an offline migration has no cutover; leave it out, or set migrationMode to Online",
    });
  if (inputs.dbsToMigrate.includes(inputs.maintenanceDatabase))
    failures.push({
      property: "dbsToMigrate",
      reason: `${inputs.maintenanceDatabase} is the target's maintenance database, which holds the migration's records; name another one as maintenanceDatabase to migrate it`,
    });
  return failures;
}

/** Whether the value at the path, or one that it lies in, is not known yet. */
function touchesUnknown(raw: unknown, path: readonly PropertyKey[]): boolean {
  let value = raw;
  for (const key of [...path, undefined]) {
    if (value === unknownValue) return true;
    if (key === undefined || typeof value !== "object" || value === null) return false;
    value = (value as Record<PropertyKey, unknown>)[key];
  }
  return false;
}

function explain(issue: z.core.$ZodIssue): { property: string; reason: string }[] {
  if (issue.code !== "unrecognized_keys") return [{ property: propertyPath(issue.path), reason: reasonOf(issue) }];
  return issue.keys.map((key) => ({
    property: propertyPath([...issue.path, key]),
    reason: `there is no such input${nearestHint(key, issue.path)}`,
  }));
}

function reasonOf(issue: z.core.$ZodIssue): string {
  if (issue.code === "invalid_type" && issue.input === undefined) return `is missing (${issue.expected})`;
  if (issue.code === "invalid_value")
    return `is none of ${issue.values.map((value) => JSON.stringify(value)).join(", ")}`;
  return issue.message;
}

const propertyPath = (path: readonly PropertyKey[]): string =>
  path.reduce<string>(
    (text, key) => (typeof key === "number" ? `${text}[${key}]` : `${text}${text && "."}${String(key)}`),
    "",
  );

function nearestHint(key: string, path: readonly PropertyKey[]): string {
  const known = Object.keys(path.length === 0 ? inputsSchema.shape : serverSchema.shape);
  const [best] = known
    .map((name) => ({ name, distance: editDistance(key.toLowerCase(), name.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance);
  return best && best.distance <= Math.max(2, key.length / 3) ? `; did you mean ${best.name}?` : "";
}

/** Levenshtein's distance. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++)
      next.push(Math.min(next[j - 1]! + 1, row[j]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)));
    row = next;
  }
  return row[b.length]!;
}

/** The wish without secrets, as the store keeps it. */
export function wishOf(inputs: Inputs): Wish {
  const { timeouts: _timeouts, engineVersion: _engine, resourceUrn: _urn, source, target, ...rest } = inputs;
  const { password: _sourcePassword, ...sourceServer } = source;
  const { password: _targetPassword, ...targetServer } = target;
  return { ...rest, source: sourceServer, target: targetServer };
}
