import type { Client } from "pg";
import { otherKinds, tableKinds } from "../schema/catalogue/kinds.js";
import { readSchema, type SchemaObject } from "../schema/catalogue/read-schema.js";

/** An object of the source that is missing or different on the target. */
export interface SchemaDifference {
  /** `table`, `column`, `index`, `constraint`, `view`, `function`, … as in PostgreSQL's commands. */
  readonly kind: string;
  /** Qualified, and quoted if necessary: `public.orders.id`, `sales.total(integer)`. */
  readonly name: string;
  /** For an object that differs: its different attributes on the source, and on the target. */
  readonly source?: string;
  readonly target?: string;
}

export interface SchemaComparison {
  /** {@link catalogueKey}s of objects to ignore: `1259/16384`. */
  readonly without?: ReadonlySet<string>;
}

/**
 * Objects of the source's schema that the target lacks or has with other attributes, by kind and name. Attributes include
 * types of columns, and validity of indexes and constraints. Definitions are not compared, because versions print them
 * differently. Objects that exist only on the target are ignored. Sorted by kind and name; each server gets one query.
 */
export async function compareSchema(
  source: Client,
  target: Client,
  { without = new Set() }: SchemaComparison = {},
): Promise<SchemaDifference[]> {
  const [all, there] = await Promise.all([listObjects(source), listObjects(target)]);
  const onTarget = new Map(there.map((object) => [keyOf(object), object]));
  return all.flatMap((object): SchemaDifference[] => {
    if (without.has(object.id) || isInvalidIndex(object)) return [];
    const { kind, identity: name } = object;
    const present = onTarget.get(keyOf(object));
    if (!present) return [{ kind, name }];
    // A version may lack an attribute.
    const different = Object.keys(object.attributes).filter(
      (one) => one in present.attributes && object.attributes[one] !== present.attributes[one],
    );
    return different.length === 0
      ? []
      : [{ kind, name, source: formOf(object, different), target: formOf(present, different) }];
  });
}

/** Names of parts that the server created for a partition may differ. */
const listObjects = async (client: Client): Promise<SchemaObject[]> =>
  (await readSchema(client, [...tableKinds, ...otherKinds], "attributes")).filter(({ ofParent }) => !ofParent);

const keyOf = ({ kind, identity }: SchemaObject): string => `${kind} ${identity}`;

/** `character varying(10), not nullable` */
function formOf({ attributes }: SchemaObject, names: readonly string[]): string {
  const values = names.map((name) => {
    const value = attributes[name];
    return typeof value === "boolean" ? `${value ? "" : "not "}${name}` : (value ?? "");
  });
  return values.join(", ");
}

/** An index left by a failed CREATE INDEX CONCURRENTLY. Dumps do not contain it. */
const isInvalidIndex = ({ kind, attributes }: SchemaObject): boolean => kind === "index" && attributes.valid === false;
