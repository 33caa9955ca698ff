import type { Client } from "pg";
import { qualify } from "../../postgres/identifiers.js";
import { sequenceRules, sequences } from "../../schema/catalogue/kinds/relations/sequences.js";
import { readSchema } from "../../schema/catalogue/read-schema.js";
import type { SchemaChange } from "./schema-change.js";

/** Statements that give sequences the options of the source. Their values are carried over at the cutover. */
export async function readSequenceDrift(
  source: Client,
  target: Client,
  schemaOnTarget: (schema: string) => string,
): Promise<SchemaChange[]> {
  const onTarget = new Map(
    (await readSchema(target, [sequences], "attributes")).map((one) => [
      qualify(one.schema, one.name),
      one.attributes.options,
    ]),
  );
  return (await readSchema(source, [sequences], "attributes")).flatMap(({ schema, name, attributes: { options } }) => {
    const sequence = qualify(schemaOnTarget(schema), name);
    const present = onTarget.get(sequence);
    // Before 10, options are not read.
    if (options === undefined || present === undefined || present === options) return [];
    return [{ rule: sequenceRules.options, tables: [], sql: `ALTER SEQUENCE ${sequence} ${String(options)}` }];
  });
}
