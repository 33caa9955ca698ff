import { isPlainObject, resolveExpressions, type TemplateScope } from "./arm-expression.js";
import { migrationInTemplate } from "./arm-template.js";
import { knownSpelling } from "./any-case.js";
import { adminCredentialsSchema, inputsSchema, secretParametersSchema } from "./inputs.js";

type Json = Readonly<Record<string, unknown>>;

/** Keys that Azure's answers and templates contain in addition to the inputs, in lower case. */
const ignoredKeys = [
  "id",
  "type",
  "location",
  "resourcegroup",
  "apiversion",
  "systemdata",
  "dependson",
  "comments",
  "migrationid",
  "currentstatus",
  "sourcedbservermetadata",
  "targetdbservermetadata",
  "startedon",
  "endedon",
];

/** A key of the inputs with its value. */
type Entry = readonly [key: string, value: unknown];

/**
 * Converts an artefact of Azure's migration service (API version 2025-08-01) to inputs. It accepts the output of
 * `az postgres flexible-server migration show`, an answer of the REST API, and the file for `create --properties`. It also
 * accepts an ARM template, and a resource of one.
 *
 * - Keys may have any case. Other values are copied unread, because they may be Pulumi outputs.
 * - Read-only keys are ignored, and so is the cutover of an offline migration, which the service reports.
 * - The target is the server in the name `server/migration`, unless another key names one.
 * - Unknown keys are kept, and `check` refuses them.
 *
 * @param parameters for the expressions of a template: an object, or the content of a parameters file
 * @throws InvalidInputError naming an expression that cannot be resolved
 * @example inputsFromArmBody({ properties: { MigrationMode: "Offline", DbsToMigrate: ["crm"] } })
 */
export function inputsFromArmBody(artefact: Json, parameters: Json = {}): Record<string, unknown> {
  const { body, scope } = migrationInTemplate(artefact, parameters);
  // Assigning a key named __proto__ would hide it from `check`; building from entries keeps it.
  return Object.fromEntries(withoutOfflineCutover(withTarget(entriesOf(body, scope))));
}

const entriesOf = (body: Json, scope: TemplateScope | undefined): Entry[] =>
  Object.entries(body).flatMap(([key, value]) => inputEntries(key, value, scope));

function inputEntries(key: string, given: unknown, scope: TemplateScope | undefined): Entry[] {
  const lower = key.toLowerCase();
  if (given === null || ignoredKeys.includes(lower)) return [];
  if (lower === "properties" && isPlainObject(given)) return entriesOf(given, scope);
  const value = scope ? resolveExpressions(given, key, scope) : given;
  if (lower === "name") return [["migrationName", value]];
  if (lower === "secretparameters" && isPlainObject(value)) return [["secretParameters", secretParameters(value)]];
  return [[knownSpelling(key, Object.keys(inputsSchema.shape)), value]];
}

function secretParameters(given: Json): Json {
  const spelled = respelled(given, Object.keys(secretParametersSchema.shape));
  const { adminCredentials } = spelled;
  if (!isPlainObject(adminCredentials)) return spelled;
  return { ...spelled, adminCredentials: respelled(adminCredentials, Object.keys(adminCredentialsSchema.shape)) };
}

const respelled = (given: Json, known: readonly string[]): Record<string, unknown> =>
  Object.fromEntries(Object.entries(given).map(([key, value]) => [knownSpelling(key, known), value]));

/** A resource of a template has the name `server/migration`. Later entries have priority. */
function withTarget(entries: readonly Entry[]): readonly Entry[] {
  const name = valueOf(entries, "migrationName");
  const [, server, migration] = (typeof name === "string" && /^([^/]+)\/([^/]+)$/.exec(name)) || [];
  if (server === undefined) return entries;
  return [
    ["targetDbServerResourceId", `/providers/Microsoft.DBforPostgreSQL/flexibleServers/${server}`],
    ...entries,
    ["migrationName", migration],
  ];
}

const cutoverKeys = ["triggerCutover", "dbsToTriggerCutoverOn"];

/** Azure reports `triggerCutover` for offline migrations as well, where it has no effect. */
function withoutOfflineCutover(entries: readonly Entry[]): readonly Entry[] {
  const mode = valueOf(entries, "migrationMode");
  const isOffline = typeof mode === "string" && mode.toLowerCase() === "offline";
  return isOffline ? entries.filter(([key]) => !cutoverKeys.includes(key)) : entries;
}

const valueOf = (entries: readonly Entry[], wanted: string): unknown =>
  entries.findLast(([key]) => key === wanted)?.[1];
