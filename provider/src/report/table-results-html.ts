import { formatBytes } from "../units/byte-size.js";
import { html, type Html, type HtmlPart } from "./html.js";
import type { MigrationReport } from "./report-schema.js";
import { summarizeComparisons, verdict } from "./summarize-report.js";
import { count, tableHtml, timeHtml } from "./tables-html.js";

type Tables = MigrationReport["tables"];
type Table = Tables[number];

const columns = [
  { title: "Table", form: "name" },
  { title: "Copy" },
  { title: "Rows copied", form: "number" },
  { title: "Bytes", form: "number" },
  { title: "Changes", form: "number" },
  { title: "Compared" },
  { title: "How", form: "narrow" },
  { title: "LSN", form: "narrow" },
  { title: "Rows on source", form: "number" },
  { title: "Rows on target", form: "number" },
  { title: "Time", form: "narrow" },
] as const;

/** The tables of each database. Those that differ, or have an error, come first. */
export function tablesSection({ tables, databases }: MigrationReport): Html {
  if (tables.length === 0) return html`<p class="quiet">No table was copied.</p> `;
  const byDatabase = new Map<string, Table[]>(databases.map(({ name }) => [name, []]));
  for (const table of tables) byDatabase.get(table.database)?.push(table);
  return html`<p>${verdict(summarizeComparisons(tables))}.</p>
    ${databases.map(({ name }) => databaseHtml(name, byDatabase.get(name) ?? []))}`;
}

function databaseHtml(name: string, tables: Tables): HtmlPart {
  if (tables.length === 0) return undefined;
  const rows = [...tables.filter(hasProblem), ...tables.filter((one) => !hasProblem(one))].map(rowOf);
  return html`<h3>${name}</h3>
    <p class="quiet">${verdict(summarizeComparisons(tables))}</p>
    ${tableHtml(`Tables of ${name}`, columns, rows)} `;
}

const hasProblem = ({ error, comparison }: Table): boolean => error !== undefined || comparison?.result === "different";

const occasions = {
  copy: "after the copy",
  cutover: "at the cutover",
  verification: "during replication",
  return: "at the return",
} as const;

const changesHtml = ({ inserts, updates, deletes }: NonNullable<Table["changes"]>): HtmlPart =>
  html`<span title="${count(inserts)} inserts, ${count(updates)} updates, ${count(deletes)} deletes"
    >${count(inserts + updates + deletes)}</span
  >`;

function rowOf({ schema, table, state, rowsCopied, bytesCopied, changes, error, comparison }: Table): HtmlPart[] {
  const name = html`<code>${schema}.${table}</code>${error !== undefined && html`<p class="remedy">${error}</p>`}`;
  const copied = [name, state, count(rowsCopied), formatBytes(bytesCopied), changes ? changesHtml(changes) : "-"];
  if (!comparison) return [...copied, "not compared", "-", "-", "-", "-", "-"];
  const { result, by, occasion, lsn, sourceRows, targetRows, at, firstDifferences } = comparison;
  const keys = firstDifferences?.map(({ key, kind }) => html`<p class="remedy">${kind}: ${key}</p>`);
  return [
    ...copied,
    html`<span class="${result === "equal" ? "good" : "bad"}">${result}</span>${keys}`,
    ...[`${by}, ${occasions[occasion]}`, lsn ?? "unknown", count(sourceRows), count(targetRows), timeHtml(at)],
  ];
}
