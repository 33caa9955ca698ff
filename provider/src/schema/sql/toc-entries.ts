import { EngineError } from "../../errors.js";
import { endOfQuoted } from "./tokenize.js";

/** An entry of pg_dump's table of contents: one object of a dump, or a property of an object. */
export interface Entry {
  /** pg_dump's number, unique in its dump. */
  readonly id: number;
  /** OID of the object's catalogue in pg_class, and the object's OID, on the source; 0 if it has none. */
  readonly classOid: number;
  readonly oid: number;
  /**
   * Entries that this one belongs to. Objects that it uses are not included: in plain text, pg_dump expresses them only
   * by its order.
   */
  readonly dependencies: readonly number[];
  /** For display: line breaks in the name are replaced by blanks, and a function has its arguments. */
  readonly name: string;
  /** pg_dump's word for the kind: `TABLE`, `FK CONSTRAINT`, `COMMENT`, `ACL`, ... */
  readonly type: string;
  readonly schema: string | undefined;
  readonly owner: string | undefined;
  /** The tablespace on the source, unless it is the database's default. */
  readonly tablespace: string | undefined;
  /** default_table_access_method at this position of the dump; mostly `heap`. */
  readonly accessMethod: string;
  /** Its statements, without pg_dump's session settings. */
  readonly sql: string;
  /**
   * Set for SECURITY DEFINER, and for privileges on what reads and writes as its owner, such as views. It must not run with the
   * privileges of another role. `before15`: a security_invoker view, which older targets run as its owner.
   */
  readonly needsOwner?: boolean | "before15";
}

/** Whether an entry only changes an object that another entry creates. */
export const isProperty = ({ type }: Pick<Entry, "type">): boolean => / (OWNER|DEFINER)$/.test(type);

/** Identifies an object of the source among all catalogues: `1259/16384`. */
export const catalogueKey = ({ classOid, oid }: Pick<Entry, "classOid" | "oid">): string => `${classOid}/${oid}`;

interface Header {
  readonly start: number;
  readonly end: number;
  readonly fields: readonly (string | undefined)[];
}

/**
 * The characters that can start a quoted text or a comment. The regular expression engine skips the text between them.
 */
const opening = /--|\/\*|['"$]/g;

/** Greedy from the left: a name may contain `; Type: `, a kind has only capitals and blanks. */
const header =
  /--\n-- TOC entry (\d+) \(class (\d+) OID (\d+)\)\n(?:-- Dependencies:((?: \d+)+)\n)?-- Name: ([^\n]*); Type: ([A-Z ]+); Schema: ([^\n]*); Owner: ([^\n]*?)(?:; Tablespace: ([^\n]*))?\n--\n/y;

const ending = /--\n-- PostgreSQL database dump complete\n|-- Completed on /y;

/**
 * Session settings that pg_dump writes between two entries, which apply from there on. The value is complete, so that the
 * end of a quoted text, such as that of a comment, does not match.
 */
const sessionSetting =
  /(?:^|\n)SET (default_tablespace|default_table_access_method|default_with_oids) = (''|\w+|"(?:[^"]|"")*");\s*$/;

/**
 * Parses a plain-text dump made with `--verbose` into its entries, in order.
 *
 * A header counts only at a position where SQL allows a comment: functions, comments and defaults may contain the text
 * of another dump.
 *
 * @throws EngineError when the text is not such a dump, or is incomplete
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
    const opened = opening.exec(text);
    if (!opened) throw notADump(headers.length === 0);
    const start = opened.index;
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

/** pg_dump writes `-`, or nothing, if an entry has no schema or owner. */
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
    empty ? "the text is not a dump of pg_dump --verbose" : "the dump ends before pg_dump's line that it is complete",
    { remedy: "run the migration again; if it happens again, keep the dump's text and report it" },
  );
