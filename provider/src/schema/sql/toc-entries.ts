import { EngineError, RefusedError } from "../../errors.js";
import { relationAt } from "./statements.js";
import { endOfQuoted, tokenize } from "./tokenize.js";

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

/** Identifies an object by its kind and name, on both servers. */
export const entryName = ({ type, schema, name }: Pick<Entry, "type" | "schema" | "name">): string =>
  JSON.stringify([type, schema, name]);

interface Header {
  readonly start: number;
  readonly end: number;
  readonly fields: readonly (string | undefined)[];
}

/**
 * The characters that can start a quoted text or a comment. The regular expression engine skips the text between them.
 */
const opening = /--|\/\*|['"$]/g;

const header =
  /--\n-- TOC entry (\d+) \(class (\d+) OID (\d+)\)\n(?:-- Dependencies:((?: \d+)+)\n)?-- Name: ([^\n]*; Type: [A-Z ]+; Schema: [^\n]*; Owner: [^\n]*)\n--\n/y;

/** The last line of a header, in pg_dump's order. */
interface Title {
  readonly name: string;
  readonly type: string;
  readonly schema: string;
  readonly owner: string;
}

/** The ways to read a title. Every name in it may contain `; Type: ` or `; Owner: `. */
function readingsOf(title: string): Title[] {
  return [...title.matchAll(/; Type: ([A-Z ]+); Schema: /g)].flatMap((kind) => {
    const name = title.slice(0, kind.index);
    const rest = title.slice(kind.index + kind[0].length);
    return [...rest.matchAll(/; Owner: /g)].map((mark) => ({
      ...{ name, type: kind[1]!, schema: rest.slice(0, mark.index), owner: rest.slice(mark.index + mark[0].length) },
    }));
  });
}

/**
 * If a title can be read in several ways, the statements decide, because they contain the schema as a quoted name. Otherwise the owner
 * of a schema could choose the kind of an entry, and a view or a function would not be restored as one.
 *
 * @throws RefusedError when they do not decide
 */
function readTitle(title: string, sql: string): Title {
  const readings = readingsOf(title);
  if (readings.length === 1) return readings[0]!;
  const tokens = tokenize(sql, 100);
  const schemas = tokens.flatMap((_, at) => relationAt({ tokens }, at)?.schema.replace(/[\r\n]/g, " ") ?? []);
  const inSchemas = (wanted: readonly string[]): Title[] => readings.filter(({ schema }) => wanted.includes(schema));
  // Most statements begin with the name of their object.
  const [found] = [inSchemas(schemas.slice(0, 1)), inSchemas(schemas.length === 0 ? ["-"] : schemas)].filter(
    (some) => some.length > 0,
  );
  if (found?.length === 1) return found[0]!;
  throw new RefusedError(`pg_dump's description of an object can be read in several ways: ${title}`, {
    remedy: "on the source, rename the schema or the role whose name contains `; Type: ` or `; Owner: `",
  });
}

/** Only these have a tablespace. Otherwise the text belongs to the owner's name. */
const hasTablespace = (type: string): boolean => /^(TABLE|INDEX|MATERIALIZED VIEW|CONSTRAINT)$/.test(type);

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
  const [id, classOid, oid, dependencies, title] = fields;
  const { name, type, schema, owner: ending } = readTitle(title!, sql);
  const [, owner = ending, tablespace] = hasTablespace(type) ? (/^(.*?); Tablespace: (.*)$/.exec(ending) ?? []) : [];
  return {
    id: Number(id),
    classOid: Number(classOid),
    oid: Number(oid),
    dependencies: dependencies?.trim().split(" ").map(Number) ?? [],
    name,
    type,
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
