import type pg from "pg";
import { quoteLiteral } from "../../postgres/identifiers.js";
import type { Draft } from "./adapted-entry.js";
import { refused } from "../sql/refused.js";
import type { Refusal } from "./adapt-entry.js";

/** privilege_not_granted and privilege_not_revoked: the server only warns, and changes nothing. */
const ungrantedCodes: ReadonlySet<string> = new Set(["01006", "01007"]);

/** Runs a statement, and returns its result and the server's warnings. */
export async function watched<T>(
  target: pg.Client,
  run: () => Promise<T>,
): Promise<{ readonly answer: T; readonly ungranted: readonly string[] }> {
  const ungranted: string[] = [];
  const watch = ({ code, message }: { code: string | undefined; message: string | undefined }): void => {
    if (ungrantedCodes.has(code ?? "")) ungranted.push(message ?? "");
  };
  target.on("notice", watch);
  try {
    return { answer: await run(), ungranted };
  } finally {
    target.off("notice", watch);
  }
}

/** Runs an adapted entry in one round trip. If it is refused, runs each statement to find the refused one. */
export async function runAdapted(target: pg.Client, draft: Draft): Promise<Refusal | undefined> {
  const { statements } = draft;
  if (statements.length === 0) return undefined;
  const begin = `BEGIN; ${transactionSettings(draft)}`;
  const all = await refused(target, `${begin}; ${statements.map(({ text }) => text).join(";\n")};\nCOMMIT`);
  if (!all) return undefined;
  await refused(target, "ROLLBACK");
  if (statements.length === 1) return { statement: statements[0]!, error: all };
  await refused(target, begin);
  for (const statement of statements) {
    const error = await refused(target, statement.text);
    if (!error) continue;
    await refused(target, "ROLLBACK");
    return { statement, error };
  }
  const error = await refused(target, "COMMIT");
  return error && { statement: statements.at(-1)!, error };
}

export function transactionSettings({ settings }: Draft): string {
  const wanted = Object.entries({
    check_function_bodies: "off",
    client_min_messages: "warning",
    default_tablespace: "",
    search_path: "",
    standard_conforming_strings: "on",
    xmloption: "content",
    ...settings,
  });
  const calls = wanted.map(([name, value]) => `pg_catalog.set_config('${name}', ${quoteLiteral(value)}, true)`);
  return `SELECT ${calls.join(", ")}`;
}
