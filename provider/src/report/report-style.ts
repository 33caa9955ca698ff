import { createHash } from "node:crypto";

export const reportStyle = `
:root { color-scheme: light dark;
  --ground: light-dark(#f4f6f9, #101319); --panel: light-dark(#fff, #191e26); --line: light-dark(#dde2ea, #2e3541);
  --text: light-dark(#1b2430, #e6eaf0); --quiet: light-dark(#505b6b, #a9b3c1); --accent: light-dark(#0b5cad, #6cb4ff);
  --good: light-dark(#14692f, #5fd18a); --warn: light-dark(#7a5200, #f0c060); --bad: light-dark(#a61b1b, #ff8f8f); }
* { box-sizing: border-box }
body { margin: 0 auto; padding: 1.5rem 1.2rem 3rem; max-width: 90rem; background: var(--ground); color: var(--text);
  font: 14px/1.45 system-ui, sans-serif }
h1 { font-size: 1.5rem; margin: 0; overflow-wrap: anywhere }
h2 { font-size: 1.15rem; margin: 2rem 0 .5rem }
h3 { font-size: 1rem; margin: 1.2rem 0 .4rem; overflow-wrap: anywhere }
p { margin: .3rem 0 }
a { color: var(--accent) }
nav { display: flex; flex-wrap: wrap; gap: .2rem 1rem; margin: 1rem 0 }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px }
.quiet { color: var(--quiet) }
.good { color: var(--good) } .warn { color: var(--warn) } .bad { color: var(--bad) }
.state { border: 1px solid currentcolor; border-radius: 1rem; padding: .05rem .6rem; font-size: .9rem; font-weight: 600;
  white-space: nowrap; vertical-align: middle }
.error { white-space: pre-wrap; overflow-wrap: anywhere; padding: .6rem .8rem; border-left: 3px solid var(--bad);
  background: var(--panel) }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: .7rem; margin: 1rem 0 0; padding: 0 }
.tiles > div { background: var(--panel); border: 1px solid var(--line); border-radius: .5rem; padding: .6rem .8rem }
.tiles dt { color: var(--quiet); font-size: .85rem; font-weight: 600 }
.tiles dd { margin: 0; font-size: 1.15rem; font-weight: 600; overflow-wrap: anywhere }
.tiles dd + dd { color: var(--quiet); font-size: .85rem; font-weight: 400 }
.scroll { overflow-x: auto; background: var(--panel); border: 1px solid var(--line); border-radius: .5rem }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem; border-bottom: 1px solid var(--line) }
tr:last-child > td, tr:last-child > th[scope=row] { border-bottom: 0 }
thead th { color: var(--quiet); font-size: .85rem; white-space: nowrap }
th[scope=row] { font-weight: 600 }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
td.narrow, time { white-space: nowrap; font-variant-numeric: tabular-nums }
td.text, th.text { min-width: 16rem; overflow-wrap: anywhere }
td.name { min-width: 11rem; overflow-wrap: anywhere }
code { font: .92em ui-monospace, monospace; white-space: pre-wrap }
.facts td { overflow-wrap: anywhere; min-width: 16rem }
.remedy { color: var(--quiet); margin: .2rem 0 0; white-space: pre-wrap }
@media (max-width: 40rem) { body { padding: 1rem .7rem 2rem } .tiles { grid-template-columns: 1fr 1fr } }
@media print {
  :root { color-scheme: light }
  body { background: none; max-width: none; padding: 0; font-size: 9pt }
  nav { display: none }
  .scroll { overflow: visible; border: 0 }
  thead { display: table-header-group } tr { break-inside: avoid } h2, h3 { break-after: avoid }
  td.text, th.text, td.name { min-width: 0 }
}
`;

/** Content-Security-Policy of the report: its own style, and nothing else. */
export const reportPolicy = `default-src 'none'; style-src 'sha256-${createHash("sha256").update(reportStyle).digest("base64")}'`;
