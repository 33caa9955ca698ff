import { linkToCode } from "../finding-codes/findings-page.js";
import { formatBytes } from "../units/byte-size.js";
import { formatDuration } from "../units/duration.js";
import { truncate } from "../units/terminal-text.js";
import { Html, html, type HtmlPart } from "./html.js";
import { reportPolicy, reportStyle } from "./report-style.js";
import type { MigrationReport } from "./report-schema.js";
import { summarizeComparisons, verdict } from "./summarize-report.js";
import { tablesSection } from "./table-results-html.js";
import { count, factsHtml, tableHtml, timeHtml } from "./tables-html.js";

/** A server's message may have megabytes. The JSON has the whole text. */
const maxText = 4000;

const short = (text: string | undefined): string => truncate(text ?? "", maxText);

/**
 * The report as one HTML file: no scripts, no requests, light and dark, and for print. All texts are escaped.
 *
 * @example await writeFile("crm.html", renderReport(report));
 */
export function renderReport(report: MigrationReport): string {
  const sections = [
    section("servers", "Servers", serversPart(report)),
    section("databases", "Databases", databasesPart(report)),
    section("findings", "Findings", findingsPart(report)),
    section("not-migrated", "Not migrated", notMigratedPart(report)),
    section("target-check", "Check of the target", targetCheckPart(report)),
    section("tables", "Tables", tablesSection(report)),
    section("sequences", "Sequences", sequencesPart(report)),
    section("cutover", "Cutover", cutoverPart(report)),
    section("timeline", "Timeline", timelinePart(report)),
    section("inputs", "Inputs", inputsPart(report)),
    section("events", "Events", eventsPart(report)),
  ];
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta http-equiv="Content-Security-Policy" content="${reportPolicy}" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>Migration ${report.migration.name}: report</title>
        ${styleElement}
      </head>
      <body>
        ${headerPart(report)}
        <nav aria-label="Contents">${sections.map(({ id, title }) => html`<a href="#${id}">${title}</a> `)}</nav>
        <main>${sections.map(({ content }) => content)}</main>
      </body>
    </html> `.text;
}

/** Its content must stay as it is: the policy has its hash. */
const styleElement = new Html(`<style>${reportStyle}</style>`);

interface Section {
  readonly id: string;
  readonly title: string;
  readonly content: Html;
}

const section = (id: string, title: string, content: HtmlPart): Section => ({
  id,
  title,
  content: html`<section id="${id}">
    <h2>${title}</h2>
    ${content}
  </section> `,
});

const none = (text: string): Html => html`<p class="quiet">${text}</p> `;

function headerPart({ migration, generatedOn, generatedBy, ...report }: MigrationReport): Html {
  const { name, state, error, mode, startedOn, endedOn } = migration;
  const seconds = (Date.parse(endedOn ?? generatedOn) - Date.parse(startedOn)) / 1000;
  const rows = sum(report.tables, ({ rowsCopied }) => rowsCopied);
  const bytes = sum(report.tables, ({ bytesCopied }) => bytesCopied);
  const summary = summarizeComparisons(report.tables);
  const open = report.findings.filter(({ status }) => status === "open").length;
  return html`<header>
    <h1>${name} <span class="state ${toneOf(state)}">${state}</span></h1>
    <p class="quiet">
      ${mode} migration of ${databaseCount(report.databases.length)}. Report of ${timeHtml(generatedOn)} UTC by
      ${generatedBy}. All times are in UTC.
    </p>
    ${error !== undefined && html`<p class="error">${short(error)}</p>`}
    <dl class="tiles">
      ${tile("Duration", formatDuration(seconds), [timeHtml(startedOn), endedOn === undefined ? " until now" : [" to ", timeHtml(endedOn)]])}
      ${tile("Copied", `${count(rows)} rows`, `${formatBytes(bytes)} sent by COPY`)}
      ${tile("Compared", summary.different > 0 ? `${count(summary.different)} differ` : `${count(summary.equalByContent + summary.equalByCounts)} equal`, verdict(summary))}
      ${tile("Open findings", count(open), `${count(report.findings.length)} checks and findings in all`)}
      ${tile("Not migrated", count(report.notMigrated.length), "objects, or groups of them")}
    </dl>
  </header>`;
}

const databaseCount = (databases: number): string => (databases === 1 ? "1 database" : `${count(databases)} databases`);

const tile = (name: string, figure: string, about: HtmlPart): Html =>
  html`<div>
    <dt>${name}</dt>
    <dd>${figure}</dd>
    <dd>${about}</dd>
  </div> `;

const sum = <One>(all: readonly One[], pick: (one: One) => number): number =>
  all.reduce((total, one) => total + pick(one), 0);

function toneOf(state: string): string {
  if (state === "Succeeded") return "good";
  return /Failed/.test(state) ? "bad" : "warn";
}

function serversPart({ source, target, migration }: MigrationReport): Html {
  const rows = (["Source", "Target"] as const).map((name) => {
    const { host, port, version, user, sslMode, storageMb } = name === "Source" ? source : target;
    const size = storageMb === undefined ? "-" : formatBytes(storageMb * 1024 ** 2);
    return [name, html`<code>${host}:${port}</code>`, version ?? "unknown", html`<code>${user}</code>`, sslMode, size];
  });
  const columns = ["Server", "Address", "PostgreSQL", "Role", "TLS", "Size of all databases at the start"].map(
    (title) => ({
      title,
    }),
  );
  const { workerVersion, workerHost } = migration;
  const worker =
    workerVersion !== undefined &&
    html`<p class="quiet">The last worker had version ${workerVersion} and ran on ${workerHost}.</p>`;
  return html`${tableHtml("Servers", columns, rows)}${worker}`;
}

function databasesPart({ databases }: MigrationReport): Html {
  const columns = [
    { title: "Database", form: "name" },
    { title: "On the target", form: "name" },
    { title: "State", form: "name" },
    { title: "Started", form: "narrow" },
    { title: "Ended", form: "narrow" },
    { title: "Copied at LSN", form: "narrow" },
    { title: "Cutover LSN", form: "narrow" },
    { title: "Changes applied", form: "number" },
  ] as const;
  const rows = databases.map((one) => [
    html`<code>${one.name}</code>`,
    html`<code>${one.targetName}</code>`,
    html`<span class="${toneOf(one.state)}">${one.state}</span>${messageHtml(one.message)}`,
    ...[timeHtml(one.startedOn), timeHtml(one.endedOn), one.snapshotLsn ?? "-", one.cutoverLsn ?? "-"],
    one.changes ? count(one.changes.inserts + one.changes.updates + one.changes.deletes) : "-",
  ]);
  return tableHtml("Databases", columns, rows);
}

const messageHtml = (message: string | undefined): HtmlPart =>
  message !== undefined && html`<p class="remedy">${short(message)}</p>`;

const severities = { Failed: "bad", Warning: "warn", Succeeded: "good" } as const;

const codeHtml = (code: string | undefined): HtmlPart =>
  code === undefined ? "-" : html`<a href="${linkToCode(code)}">${code}</a>`;

const withRemedy = (text: string, remedy: string | undefined): Html =>
  html`${short(text)}${remedy !== undefined && html`<p class="remedy">To do: ${short(remedy)}</p>`}`;

function findingsPart({ findings }: MigrationReport): Html {
  const problems = findings.filter(({ status }) => status !== "passed");
  const passed = html`<p class="quiet">${count(findings.length - problems.length)} checks found no problem.</p> `;
  if (problems.length === 0) return html`${none("No problem was found.")}${passed}`;
  const columns = [
    { title: "Status" },
    { title: "Finding", form: "text" },
    { title: "Severity" },
    { title: "Code", form: "narrow" },
    { title: "Database" },
    { title: "Object", form: "name" },
    { title: "Reported", form: "narrow" },
    { title: "No longer reported", form: "narrow" },
  ] as const;
  const rows = problems.map((one) => [
    html`<span class="${one.status === "resolved" ? "good" : severities[one.severity]}">${one.status}</span>`,
    ...[withRemedy(one.message, one.remedy), one.severity, codeHtml(one.code), one.database ?? "-", short(one.object)],
    ...[timeHtml(one.reportedOn), timeHtml(one.withdrawnOn)],
  ]);
  return html`${tableHtml("Findings", columns, rows)}${passed}`;
}

function notMigratedPart({ notMigrated }: MigrationReport): Html {
  if (notMigrated.length === 0) return none("No object is known to be left out.");
  const columns = [
    { title: "Database" },
    { title: "Kind" },
    { title: "Object", form: "name" },
    { title: "Reason", form: "text" },
    { title: "Code", form: "narrow" },
  ] as const;
  const rows = notMigrated.map((one) => [
    ...[one.database ?? "-", one.kind ?? "-", short(one.object)],
    ...[withRemedy(one.reason, one.remedy), codeHtml(one.code)],
  ]);
  return tableHtml("Not migrated", columns, rows);
}

function targetCheckPart({ targetCheck }: MigrationReport): Html {
  if (!targetCheck) return none("The target was not checked after the migration: run pg-migration check-target.");
  const { at, isComplete, problems } = targetCheck;
  const about = html`<p class="quiet">
    Checked ${timeHtml(at)}.${!isComplete && " Some databases could not be read."}
    ${problems.length === 0 && "No problem was found."}
  </p> `;
  if (problems.length === 0) return about;
  const columns = [
    { title: "Finding", form: "text" },
    { title: "Severity" },
    { title: "Code", form: "narrow" },
    { title: "Database" },
    { title: "Object", form: "name" },
  ] as const;
  const rows = problems.map((one) => [
    withRemedy(one.message, one.remedy),
    html`<span class="${severities[one.severity]}">${one.severity}</span>`,
    ...[codeHtml(one.code), one.database ?? "-", short(one.object)],
  ]);
  return html`${about}${tableHtml("Check of the target", columns, rows)}`;
}

function sequencesPart({ sequences }: MigrationReport): Html {
  if (sequences.length === 0) return none("No sequence was set.");
  const columns = [
    { title: "Database" },
    { title: "Sequence", form: "name" },
    { title: "Last value", form: "number" },
    { title: "Handed out" },
    { title: "Set on" },
    { title: "At", form: "narrow" },
  ] as const;
  const rows = sequences.map((one) => [
    one.database,
    html`<code>${one.schema}.${one.sequence}</code>`,
    ...[one.lastValue, one.isCalled ? "yes" : "no", `the ${one.setOn}`, timeHtml(one.at)],
  ]);
  return tableHtml("Sequences", columns, rows);
}

function cutoverPart({ cutover }: MigrationReport): Html {
  if (cutover.length === 0) return none("No database was cut over.");
  const columns = [
    { title: "Database" },
    { title: "Step", form: "text" },
    { title: "Seconds", form: "number" },
  ] as const;
  return tableHtml(
    "Cutover",
    columns,
    cutover.map(({ database, step, seconds }) => [database, step, seconds.toFixed(3)]),
  );
}

function timelinePart({ timeline }: MigrationReport): Html {
  const columns = [
    { title: "Time", form: "narrow" },
    { title: "Database" },
    { title: "State" },
    { title: "Substate or phase" },
    { title: "Error", form: "text" },
  ] as const;
  const rows = timeline.map(({ at, database, state, subState, error }) => [
    timeHtml(at),
    database ?? html`<span class="quiet">migration</span>`,
    html`<span class="${toneOf(state)}">${state}</span>`,
    ...[subState, short(error)],
  ]);
  return tableHtml("Timeline", columns, rows);
}

function inputsPart({ inputs }: MigrationReport): Html {
  const rows = Object.entries(inputs)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => [name, html`<code>${short(JSON.stringify(value))}</code>`] as const);
  return factsHtml("Inputs", rows);
}

function eventsPart({ events, eventsOmitted }: MigrationReport): Html {
  const columns = [
    { title: "Time", form: "narrow" },
    { title: "Level" },
    { title: "Database" },
    { title: "Event", form: "text" },
  ] as const;
  const tones = { info: "", warning: "warn", error: "bad" };
  const rows = events.map(({ at, level, database, message }) => [
    timeHtml(at),
    html`<span class="${tones[level]}">${level}</span>`,
    ...[database ?? "-", short(message)],
  ]);
  const omitted = eventsOmitted > 0 && none(`${count(eventsOmitted)} older events are not in this report.`);
  return html`${omitted}${tableHtml("Events", columns, rows)}`;
}
