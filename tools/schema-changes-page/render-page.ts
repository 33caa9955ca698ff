import { join } from "node:path";
import { format, resolveConfig } from "prettier";
import { actionMeanings, type ChangeRule } from "../../provider/src/schema/catalogue/change-rule";
import { changeRules } from "../../provider/src/schema/catalogue/change-rules";

export const pagePath = join(__dirname, "../../docs/schema-changes.md");

/** docs/schema-changes.md, as `npm run schema-changes-page` writes it. */
export async function renderPage(): Promise<string> {
  return format(page, { ...(await resolveConfig(pagePath)), parser: "markdown" });
}

const refusals = {
  pause: "If the target refuses it, the pause or the refused cutover shows the statement.",
  finding: "If the target refuses it, a finding names it.",
};

const rowOf = ({ kind, change, action, reason, ifRefused }: ChangeRule): string =>
  `| ${kind} | ${change} | ${action} | ${reason}${ifRefused ? ` ${refusals[ifRefused]}` : ""} |`;

const page = `<!-- Generated from provider/src/schema/catalogue by \`npm run schema-changes-page\`. Do not edit. -->

# Schema changes of the source

The worker of an online migration compares the schemas every three seconds, and before each cutover. This page shows what it
does about each change of the source, with \`schemaChanges: "carry"\`. The worker reads its decisions from the same table.

| action | meaning |
| - | - |
${Object.entries(actionMeanings)
  .map(([action, meaning]) => `| ${action} | ${meaning} |`)
  .join("\n")}

"Rows" are the inserted, updated and deleted rows of the stream. Rows are "earlier" if they were committed before the change of
the schema.

While a stream is paused, the source is not affected, except that it keeps WAL. The statement is in the message of the
database, in the events and in \`pg-migration show\`. The stream resumes within seconds after you have run it on the target.

## The rule table

| kind | change | action | reason |
| - | - | - | - |
${changeRules
  .flatMap((rules) => Object.values(rules))
  .map(rowOf)
  .join("\n")}

## Dropped tables

A table that is dropped on the source may have been dropped by mistake. So the worker does not drop it on the target. It moves
the table, with its rows, indexes and sequences, to a schema of its own: \`pgmigration_dropped_<number>\`. The comment of the
schema is the former name of the table. Two tables of the same name, dropped one after the other, do not collide. The table is
detached from its parents, and its foreign keys are dropped, so that it does not affect other tables. If the source creates a
table under the name of a dropped one, the target gets a new table, whose columns may be others.

A finding (PGM-510) lists each of them at once, and again after the cutover. The schemas stay after the cutover until you drop them. The
same applies to the former copy of a table that was copied again under a new name. It also applies to a table that got a name that
the filters exclude.

Dropped columns and attributes pause the stream. Dropped triggers, rules and policies are dropped on the target. Other dropped objects stay on the target under their names. A renamed object also stays if the target has another object of its
new name. The worker then creates it, or replaces the other one.

## Who applies the changes

With \`schemaChanges: "carry"\`, the default, the worker applies every change whose action is not \`pause\`. With
\`schemaChanges: "pause"\`, you run each statement:

- Changes of schemas, tables, columns, types, domains, constraints and sequences pause the stream. For a new table, you run
  \`CREATE TABLE\`. The worker then copies its rows, and creates its indexes and constraints with the objects that are still missing.
- Changes of all other objects, and settings, refuse the cutover with the statements. Their definitions are compared as the
  servers print them. If two versions print one differently, set \`carry\`.
- Tables that the source rewrote are copied again without a question. Owners and privileges are set at the cutover.

The input may change at any time, also while the stream is paused: with \`carry\`, the worker runs the statements that it may run.

Changes of objects that the filter excludes are ignored. Large objects and subscriptions are not compared.
`;
