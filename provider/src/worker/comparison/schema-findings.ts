import { messageOf } from "../../errors.js";
import type { FindingCode } from "../../finding-codes/finding-code.js";
import type { Finding } from "../../findings.js";
import { type Definitions, dropStatement } from "../../schema/catalogue/definitions.js";
import { enumerate } from "../../units/enumerate.js";
import type { SchemaDifference } from "../../verify/compare-schema.js";

/** From this number on, objects of one kind with the same difference share a finding. */
const maxSimilar = 10;
const maxNamed = 50;

/**
 * Findings about objects that differ, that only one server has, or that were dropped on the source during the replication.
 *
 * @param before definitions of the source when the stream began
 * @example
 * await journal.findings(schemaFindings("erp", await compareCompletely(source, target, { roles }), {}));
 */
export function schemaFindings(
  database: string,
  differences: readonly SchemaDifference[],
  before: Definitions,
): Finding[] {
  const isDropped = ({ kind, name, onlyOnTarget }: SchemaDifference): boolean =>
    onlyOnTarget !== undefined && before[`${kind} ${name}`] !== undefined;
  const alike = new Map<string, SchemaDifference[]>();
  for (const one of differences.filter((each) => !isDropped(each))) {
    const key = JSON.stringify([one.kind, changeOf(one), one.attributes]);
    alike.set(key, [...(alike.get(key) ?? []), one]);
  }
  return [
    ...differences.filter(isDropped).map((one) => stillThere(database, one)),
    ...[...alike.values()].flatMap((group) =>
      group.length < maxSimilar ? group.map((one) => different(database, one)) : [manyDifferent(database, group)],
    ),
  ];
}

const changeOf = ({ source, onlyOnTarget }: SchemaDifference): string =>
  onlyOnTarget ? "exists only on the target" : source === undefined ? "is missing on the target" : "differs";

const findingOf = (
  database: string,
  object: string,
  rest: Readonly<Record<"message" | "remedy", string>> & { readonly code: FindingCode },
): Finding => ({
  ...{ database, type: "SchemaValidation", state: "Warning", object, objectType: "Database" },
  ...rest,
});

const compare = "check whether the difference matters; if it does, ALTER the object on the target";

function different(database: string, one: SchemaDifference): Finding {
  const { kind, name, source, target } = one;
  const message =
    source === undefined
      ? `${kind} ${name} ${changeOf(one)}`
      : `${kind} ${name} is ${target ?? ""} on the target, ${source} on the source`;
  return findingOf(database, `${kind} ${name}`, { code: "PGM-440", message, remedy: compare });
}

function manyDifferent(database: string, group: readonly SchemaDifference[]): Finding {
  const [{ kind, attributes }] = group as [SchemaDifference];
  const what = attributes ? `differs in ${attributes.join(", ")}` : changeOf(group[0]!);
  const names = enumerate(
    group.map(({ name }) => name),
    maxNamed,
  );
  const message = `${group.length} objects of the kind ${kind}: each ${what}: ${names}`;
  return findingOf(database, `${kind}: ${what}`, { code: "PGM-440", message, remedy: compare });
}

function stillThere(database: string, { kind, name, onlyOnTarget }: SchemaDifference): Finding {
  return findingOf(database, `${kind} ${name}`, {
    code: "PGM-507",
    message: `${kind} ${name} was dropped on the source during the replication, and still exists on the target`,
    remedy: `unless it is needed on the target: ${dropStatement(onlyOnTarget!)}`,
  });
}

/** Other sessions prevented the comparison. */
export const comparisonPrevented = (database: string, error: Error): Finding =>
  findingOf(database, database, {
    code: "PGM-440",
    message: `the schemas were not compared, because other sessions locked or dropped objects: ${messageOf(error)}`,
    remedy: "compare the output of pg_dump --schema-only of both servers",
  });
