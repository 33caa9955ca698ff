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
does about each change of the source. The worker reads its decisions from the same table.

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

Changes of objects that the filter excludes are ignored. Large objects and subscriptions are not compared.
`;
