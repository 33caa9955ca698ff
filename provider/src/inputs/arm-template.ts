import { InvalidInputError } from "../errors.js";
import { isPlainObject, keyVaultReference, type TemplateScope } from "./arm-expression.js";

type Json = Readonly<Record<string, unknown>>;

/** A body of Azure's migration resource, and what its expressions refer to. */
export interface TemplateResource {
  readonly body: Json;
  /** Undefined outside templates, where every text is literal. */
  readonly scope: TemplateScope | undefined;
}

const migrationType = "microsoft.dbforpostgresql/flexibleservers/migrations";

/**
 * Finds the migration in an ARM template, or in the template that Bicep compiles. Any other object is the body itself,
 * and a resource of a template if it has the key `apiVersion`.
 *
 * @param given values of parameters: an object, or the content of a parameters file
 * @throws InvalidInputError unless the template declares exactly one migration
 */
export function migrationInTemplate(template: Json, given: Json): TemplateResource {
  const scope = {
    given: parameterValues(given),
    defaults: described(template.parameters, "defaultValue"),
    variables: isPlainObject(template.variables) ? template.variables : {},
  };
  if (template.resources === undefined) return { body: template, scope: isResource(template) ? scope : undefined };
  const migrations = resourcesIn(template.resources).filter(({ type }) => String(type).toLowerCase() === migrationType);
  const [body] = migrations;
  if (body && migrations.length === 1) return { body, scope };
  throw new InvalidInputError([
    {
      property: "resources",
      reason: `the template declares ${migrations.length} resources of type Microsoft.DBforPostgreSQL/flexibleServers/migrations: expected 1; give the resource alone`,
    },
  ]);
}

/** Azure's answers have no such key. */
const isResource = (body: Json): boolean => Object.keys(body).some((key) => key.toLowerCase() === "apiversion");

/** Bicep compiles to an object of resources by symbolic name, or to a list. */
const resourcesIn = (resources: unknown): Json[] =>
  Object.values((resources ?? {}) as Json).filter((one): one is Json => isPlainObject(one));

/** A parameters file has for each parameter a `value`, or a `reference` to a key vault. */
function parameterValues(given: Json): Json {
  if (!isPlainObject(given.parameters)) return given;
  const references = Object.entries(described(given.parameters, "reference")).map(
    ([name]) => [name, keyVaultReference] as const,
  );
  return { ...Object.fromEntries(references), ...described(given.parameters, "value") };
}

function described(parameters: unknown, key: "defaultValue" | "value" | "reference"): Json {
  if (!isPlainObject(parameters)) return {};
  const values = Object.entries(parameters).map(
    ([name, one]) => [name, isPlainObject(one) ? one[key] : undefined] as const,
  );
  return Object.fromEntries(values.filter(([, value]) => value !== undefined));
}
