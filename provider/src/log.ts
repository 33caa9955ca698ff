import pino from "pino";
import { escapeControls, escapeLine, indentFurtherLines } from "./units/terminal-text.js";

const levels = ["debug", "info", "warn", "error"] as const;

/** Unknown values of the two variables mean the default: a typing error there must not stop a migration. */
const level = levels.find((one) => one === process.env.PG_MIGRATION_LOG_LEVEL) ?? "info";
const isJson = process.env.PG_MIGRATION_LOG_FORMAT === "json";

interface Line {
  readonly time: string;
  readonly level: string;
  readonly migration?: string;
  readonly database?: string;
  readonly message: string;
}

/**
 * Writes to standard error, which the worker's log file and containers collect. `PG_MIGRATION_LOG_FORMAT=json` writes one
 * JSON object a line. `PG_MIGRATION_LOG_LEVEL` is debug, info (default), warn or error.
 *
 * @example log.warn({ database: "crm" }, "the slot is inactive")
 */
export const log = pino(
  {
    level,
    base: null,
    messageKey: "message",
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
  },
  {
    write: (line) => void process.stderr.write(isJson ? escapeControls(line) : `${textOf(JSON.parse(line) as Line)}\n`),
  },
);

/** Names the migration in all further lines of this process, as a worker does. */
export function logMigration(migration: string): void {
  log.setBindings({ migration });
}

/** Logs a message only when it differs from the last one, for states that are checked again and again. */
export class ChangeReporter {
  #last = "";

  report(message: string): void {
    if (this.isNew(message)) log.info(message);
  }

  /** Whether the text differs from the last one. For reports to other places than the log. */
  isNew(text: string): boolean {
    const isNew = text !== this.#last;
    this.#last = text;
    return isNew;
  }
}

/** Outside a worker a person reads the line below a command's own output, where time and level are noise. */
function textOf({ time, level, migration, database, message }: Line): string {
  const where = database === undefined ? "" : `[${escapeLine(database)}] `;
  const prefix = migration === undefined ? "" : `${time} ${level.toUpperCase()} ${migration}: `;
  return escapeControls(prefix + where + indentFurtherLines(message));
}
