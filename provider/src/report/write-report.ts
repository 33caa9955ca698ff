import { randomUUID } from "node:crypto";
import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { dirname, extname, join } from "node:path";
import { renderReport } from "./render-report.js";
import type { MigrationReport } from "./report-schema.js";

/** The report as a text: an HTML file, or indented JSON. */
export const reportText = (report: MigrationReport, format: "html" | "json"): string =>
  format === "html" ? renderReport(report) : `${JSON.stringify(report, undefined, 2)}\n`;

/** The format of a file by its name's end, in any case; undefined for other names. */
export function reportFormat(path: string): "html" | "json" | undefined {
  const ending = extname(path).toLowerCase();
  if (ending === ".html" || ending === ".htm") return "html";
  return ending === ".json" ? "json" : undefined;
}

/**
 * Writes the report to a file that ends in `.html` or `.json`. Any other path is a directory, which gets both files. They are named
 * after the migration. Existing files are replaced at once, and missing directories are created.
 *
 * @returns the paths of the files
 * @throws Error of the file system
 * @example await writeReport(report, "reports"); // ["reports/crm.html", "reports/crm.json"]
 */
export async function writeReport(report: MigrationReport, path: string): Promise<readonly string[]> {
  const format = reportFormat(path);
  const { name } = report.migration;
  const files = format
    ? [[path, format] as const]
    : (["html", "json"] as const).map((one) => [join(path, `${name}.${one}`), one] as const);
  for (const [file, one] of files) await replaceFile(file, reportText(report, one));
  return files.map(([file]) => file);
}

async function replaceFile(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const temporary = `${path}.${randomUUID()}`;
  try {
    // Keys of rows that differ are confidential.
    await writeFile(temporary, text, { mode: 0o600 });
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}
