import { EngineError } from "../../errors.js";
import { endOfQuoted } from "./tokenize.js";

/** One object of a dump, or one thing about an object: what pg_dump calls an entry of its table of contents. */
export interface Entry {
  /** pg_dump's number of it, unique in its dump. */
  readonly id: number;
  /** pg_class.oid of the catalogue that holds the object, and its oid there, on the source; 0 where it has none. */
  readonly classOid: number;
  readonly oid: number;
  /**
   * Entries that this one is about. What it merely uses is not among them: in plain text pg_dump leaves that to its order.
   */
  readonly dependencies: readonly number[];
  /** For people: line breaks inside the name are blanks here, and a function has its arguments. */
  readonly name: string;
  /** pg_dump's word for the kind: `TABLE`, `FK CONSTRAINT`, `COMMENT`, `ACL`, ... */
  readonly type: string;
  readonly schema: string | undefined;
  readonly owner: string | undefined;
  /** Where the source keeps it, when that is not the database's default. */
  readonly tablespace: string | undefined;
  /** default_table_access_method at this place of the dump; `heap` unless the source has another. */
  readonly accessMethod: string;
  /** Its statements, without pg_dump's session settings around them. */
  readonly sql: string;
}

/** What names an object of the source among all of its catalogues: `1259/16384`. */
export const catalogueKey = ({ classOid, oid }: Pick<Entry, "classOid" | "oid">): string => `${classOid}/${oid}`;

interface Header {
  readonly start: number;
  readonly end: number;
  readonly fields: readonly (string | undefined)[];
}

/** Where code may stop being code. Everything between is skipped at the speed of the regular expression engine. */
const opening = /--|\/\*|['"$]/g;

/** Greedy from the left: a name may hold `; Type: `, a kind holds capitals and blanks only. */
const header =
  /--\n-- TOC entry (\d+) \(class (\d+) OID (\d+)\)\n(?:-- Dependencies:((?: \d+)+)\n)?-- Name: ([^\n]*); Type: ([A-Z ]+); Schema: ([^\n]*); Owner: ([^\n]*?)(?:; Tablespace: ([^\n]*))?\n--\n/y;

const ending = /--\n-- PostgreSQL database dump complete\n|-- Completed on /y;

/** What pg_dump puts between two entries, and what holds from there on. */
const sessionSetting = /(?:^|\n)SET (default_tablespace|default_table_access_method|default_with_oids) = ([^;]*);\s*$/;

/**
 * The entries of a plain-text dump made with `--verbose`, in its order.
 *
 * A header counts only where a comment can stand: functions, comments and defaults may hold the text of another dump.
 *
 * @throws EngineError when the text is no such dump, or is cut off
 */
export function parseTocEntries(text: string): Entry[] {
  const { headers, end } = findHeaders(text);
  let accessMethod = trimSettings(text.slice(0, headers[0]?.start ?? end)).accessMethod ?? "heap";
  return headers.map((found, index) => {
    const trimmed = trimSettings(text.slice(found.end, headers[index + 1]?.start ?? end));
    const entry = entryOf(found, trimmed.sql, accessMethod);
    accessMethod = trimmed.accessMethod ?? accessMethod;
    return entry;
  });
}

function findHeaders(text: string): { headers: Header[]; end: number } {
  const headers: Header[] = [];
  let at = 0;
  while (true) {
    opening.lastIndex = at;
    const mark = opening.exec(text);
    if (!mark) throw notADump(headers.length === 0);
    const start = mark.index;
    const atLineStart = start === 0 || text[start - 1] === "\n";
    if (atLineStart && matches(ending, text, start)) return { headers, end: start };
    const match = atLineStart ? matches(header, text, start) : null;
    if (match) headers.push({ start, end: header.lastIndex, fields: match.slice(1) });
    at = match ? header.lastIndex : (endOfQuoted(text, start) ?? start + 1);
  }
}

function matches(pattern: RegExp, text: string, at: number): RegExpExecArray | null {
  pattern.lastIndex = at;
  return pattern.exec(text);
}

function entryOf({ fields }: Header, sql: string, accessMethod: string): Entry {
  const [id, classOid, oid, dependencies, name, type, schema, owner, tablespace] = fields;
  return {
    id: Number(id),
    classOid: Number(classOid),
    oid: Number(oid),
    dependencies: dependencies?.trim().split(" ").map(Number) ?? [],
    name: name!,
    type: type!,
    schema: present(schema),
    owner: present(owner),
    tablespace,
    accessMethod,
    sql,
  };
}

/** pg_dump writes `-`, or nothing, where an entry has no schema or owner. */
const present = (field: string | undefined): string | undefined => (field === "-" || field === "" ? undefined : field);

function trimSettings(text: string): { sql: string; accessMethod?: string } {
  let sql = text.trim();
  let accessMethod: string | undefined;
  while (true) {
    const setting = sessionSetting.exec(sql.slice(-400));
    if (!setting) return accessMethod === undefined ? { sql } : { sql, accessMethod };
    if (setting[1] === "default_table_access_method") accessMethod ??= setting[2]!.replace(/^"(.*)"$/s, "$1");
    sql = sql.slice(0, sql.length - setting[0].length).trimEnd();
  }
}

const notADump = (empty: boolean): EngineError =>
  new EngineError(
    empty ? "the text is no dump of pg_dump --verbose" : "the dump ends before pg_dump says that it is complete",
    { remedy: "run the migration again; if it happens again, keep the dump's text and report it" },
  );
