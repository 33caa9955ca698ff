import type { DatabaseProperties } from "./database-properties.js";
import type { Client } from "pg";
import { quoteLiteral } from "../../postgres/identifiers.js";
import { serverVersion } from "../../postgres/server-version.js";

export interface LocaleChoice {
  /** The options of CREATE DATABASE. */
  readonly clause: string;
  /** Whether text has the same sort order and case mapping as on the source. */
  readonly isExact: boolean;
}

/**
 * Locales for a database on the target, in order of preference: first the source's, last C, which works with every
 * encoding.
 */
export async function localeChoices(target: Client, properties: DatabaseProperties): Promise<LocaleChoice[]> {
  const version = await serverVersion(target);
  const { collate, ctype, provider } = properties;
  const hasProvider = provider !== "libc" && version >= 150000;
  const exact = { clause: exactClause(properties, version), isExact: provider === "libc" || hasProvider };
  // Only the provider sorts and maps case, so that libc's locale hardly matters.
  const ownProvider = { clause: exactClause({ ...properties, collate: "C", ctype: "C" }, version), isExact: true };
  const spellings = provider === "libc" ? otherSpellings(collate, ctype) : [];
  const neighbours = [...(await sameLanguage(target, collate)), "en_US.utf8", "C.UTF-8", "C"];
  return [
    exact,
    ...(hasProvider ? [ownProvider] : []),
    ...spellings.map(([lcCollate, lcCtype]) => ({ clause: libc(lcCollate, lcCtype, version), isExact: true })),
    ...neighbours.map((locale) => ({ clause: libc(locale, locale, version), isExact: false })),
  ];
}

function exactClause({ provider, locale, icuRules, collate, ctype }: DatabaseProperties, version: number): string {
  const base = libc(collate, ctype, version);
  if (provider === "libc" || version < 150000) return base;
  const rules = icuRules === undefined ? "" : ` ICU_RULES ${quoteLiteral(icuRules)}`;
  const option = provider === "icu" ? "ICU_LOCALE" : "BUILTIN_LOCALE";
  const categories = `LC_COLLATE ${quoteLiteral(collate)} LC_CTYPE ${quoteLiteral(ctype)}`;
  return `LOCALE_PROVIDER ${provider} ${option} ${quoteLiteral(locale ?? "C")}${rules} ${categories}`;
}

function libc(collate: string, ctype: string, version: number): string {
  const provider = version >= 150000 ? "LOCALE_PROVIDER libc " : "";
  return `${provider}LC_COLLATE ${quoteLiteral(collate)} LC_CTYPE ${quoteLiteral(ctype)}`;
}

/** Operating systems spell the same locale differently: `en_US.UTF-8`, `en_US.utf8`. */
function otherSpellings(collate: string, ctype: string): [string, string][] {
  const lower = (locale: string): string => locale.replace(/\.utf-?8$/i, ".utf8");
  const upper = (locale: string): string => locale.replace(/\.utf-?8$/i, ".UTF-8");
  return [lower, upper]
    .map((spell): [string, string] => [spell(collate), spell(ctype)])
    .filter(([first, second]) => first !== collate || second !== ctype);
}

async function sameLanguage(target: Client, collate: string): Promise<string[]> {
  const language = /^[a-z]{2,3}(?=[_.@]|$)/.exec(collate)?.[0];
  if (language === undefined) return [];
  const { rows } = await target.query<{ locale: string }>(
    `SELECT DISTINCT collcollate AS locale FROM pg_catalog.pg_collation
      WHERE collprovider = 'c' AND collcollate ~ $1 ORDER BY 1`,
    [`^${language}(_|\\.|$)`],
  );
  return rows.map(({ locale }) => locale);
}
