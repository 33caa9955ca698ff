import { join } from "node:path";
import { format, resolveConfig } from "prettier";
import { azureCodes, unusedAzureCodes } from "../../provider/src/finding-codes/azure-codes";
import type { Catalogue, CatalogueEntry } from "../../provider/src/finding-codes/catalogue-entry";
import { connectionCodes } from "../../provider/src/finding-codes/connection-codes";
import { cutoverCodes } from "../../provider/src/finding-codes/cutover-codes";
import { anchorOf } from "../../provider/src/finding-codes/findings-page";
import { reportCodes } from "../../provider/src/finding-codes/report-codes";
import { roleCodes } from "../../provider/src/finding-codes/role-codes";
import { schemaCodes } from "../../provider/src/finding-codes/schema-codes";
import { sourceCodes } from "../../provider/src/finding-codes/source-codes";
import { streamingCodes } from "../../provider/src/finding-codes/streaming-codes";
import { targetCheckCodes } from "../../provider/src/finding-codes/target-check-codes";
import { targetCodes } from "../../provider/src/finding-codes/target-codes";

export const pagePath = join(__dirname, "../../docs/findings.md");

/** docs/findings.md, as `npm run findings-page` writes it. */
export async function renderPage(): Promise<string> {
  return format(page, { ...(await resolveConfig(pagePath)), parser: "markdown" });
}

const ownCodes: readonly (readonly [title: string, codes: Catalogue])[] = [
  ["PGM-1xx: connection", connectionCodes],
  ["PGM-2xx: source", sourceCodes],
  ["PGM-3xx: target", targetCodes],
  ["PGM-4xx: schema and extensions", schemaCodes],
  ["PGM-5xx: copy and replication", streamingCodes],
  ["PGM-6xx: cutover and rollback", cutoverCodes],
  ["PGM-7xx: roles", roleCodes],
  ["PGM-80x: report", reportCodes],
  ["PGM-81x to PGM-83x: the target after the migration", targetCheckCodes],
];

const cell = (text: string): string => text.replaceAll("|", "\\|").replaceAll("<", "\\<").replaceAll("*", "\\*");

const rowOf = ([code, { meaning, severity, remedy, privilege }]: [string, CatalogueEntry]): string =>
  `| <a id="${anchorOf(code)}"></a>${[code, cell(meaning), severity, cell(remedy), cell(privilege ?? "-")].join(" | ")} |`;

const tableOf = (codes: Catalogue): string =>
  ["| code | meaning | severity | remedy | required privilege |", "| - | - | - | - | - |"]
    .concat(Object.entries(codes).map(rowOf))
    .join("\n");

const unused = Object.entries(unusedAzureCodes).map(([code, reason]) => `- ${code}: ${reason}`);

const page = `<!-- Generated from provider/src/finding-codes by \`npm run findings-page\`. Do not edit. -->

# Findings and their codes

A finding is a result of the validation or of the running migration. It has:

- a state: \`Succeeded\`, \`Warning\` or \`Failed\`. Only \`Failed\` blocks the migration.
- a code, unless it succeeded. This page explains every code.
- a message, and the object it concerns
- a remedy: what to do, as a command if one exists. Errors show it after \`To do:\`.

Findings are in \`currentStatus.currentSubStateDetails.validationDetails\`. \`pg-migration show\` and the dashboard list them. \`pg-migration check-target\` prints
those of PGM-81x to PGM-83x, which [the report](report.md) contains.

Codes of six digits are those of Azure's migration service, with Azure's meaning. Codes that start with \`PGM-\` are this
project's own: Azure's service does not check their conditions, or does not report them.

The remedy in the table is general. A finding has the exact command for its objects. The required privilege is the one that is
missing, or that the remedy requires.

## Azure's codes

${tableOf(azureCodes)}

These codes of Azure are never reported:

${unused.join("\n")}

${ownCodes.map(([title, codes]) => `## ${title}\n\n${tableOf(codes)}`).join("\n\n")}
`;
