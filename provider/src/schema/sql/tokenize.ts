import { EngineError } from "../../errors.js";

/**
 * A tokenizer with the part of PostgreSQL's lexical rules (manual, "Lexical Structure") that separates code from quoted
 * text, for output of pg_dump, which sets standard_conforming_strings.
 */

export interface Token {
  /** `identifier` is a name in double quotes, `word` a key word or a name without quotes. Comments are skipped. */
  readonly kind: "word" | "identifier" | "string" | "symbol";
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

const wordPart = /[\w$\u0080-\uffff]/;
const word = /[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*/y;
const blanks = /\s+/y;
const dollarQuote = /\$(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$/y;
const commentMark = /\/\*|\*\//g;

/**
 * The position after the string, quoted identifier, dollar-quoted text or comment that starts at `start`; undefined if
 * none starts there.
 *
 * @throws EngineError when it has no end: the text is incomplete, or was misread from the start
 */
export function endOfQuoted(text: string, start: number): number | undefined {
  switch (text[start]) {
    case "'":
      return isEscapeString(text, start) ? endOfEscapeString(text, start) : endOfDoubled(text, start, "'");
    case '"':
      return endOfDoubled(text, start, '"');
    case "$":
      return endOfDollarQuoted(text, start);
    case "-":
      return text[start + 1] === "-" ? endOfLine(text, start) : undefined;
    case "/":
      return text[start + 1] === "*" ? endOfBlockComment(text, start) : undefined;
    default:
      return undefined;
  }
}

/** The first tokens of an SQL text, in order. A number is a symbol, and so is each character of an operator. */
export function tokenize(sql: string, limit = Infinity): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  while (at < sql.length && tokens.length < limit) {
    const blank = matchAt(blanks, sql, at);
    if (blank !== undefined) {
      at = blank;
      continue;
    }
    const quoted = endOfQuoted(sql, at);
    const isComment = quoted !== undefined && (sql[at] === "-" || sql[at] === "/");
    const end = quoted ?? matchAt(word, sql, at) ?? at + 1;
    if (!isComment) {
      const kind = kindOf(sql[at]!, quoted !== undefined, end - at);
      tokens.push({ kind, text: sql.slice(at, end), start: at, end });
    }
    at = end;
  }
  return tokens;
}

/** The name of an identifier token: unquoted, or folded to lower case. */
export function identifierName(token: Token): string {
  return token.kind === "identifier" ? token.text.slice(1, -1).replaceAll('""', '"') : token.text.toLowerCase();
}

/** Whether the tokens starting at `at` are these key words or symbols. */
export function follows(tokens: readonly Token[], at: number, ...expected: readonly string[]): boolean {
  return expected.every((text, offset) => {
    const token = tokens[at + offset];
    // This runs for each token of a dump, and most lengths differ.
    if (token?.text.length !== text.length) return false;
    return token.kind !== "identifier" && token.text.toUpperCase() === text;
  });
}

function kindOf(first: string, quoted: boolean, length: number): Token["kind"] {
  if (quoted) return first === '"' ? "identifier" : "string";
  return length > 1 || /[A-Za-z_\u0080-\uffff]/.test(first) ? "word" : "symbol";
}

function matchAt(pattern: RegExp, text: string, at: number): number | undefined {
  pattern.lastIndex = at;
  return pattern.test(text) ? pattern.lastIndex : undefined;
}

const isEscapeString = (text: string, quote: number): boolean =>
  (text[quote - 1] === "E" || text[quote - 1] === "e") && !wordPart.test(text[quote - 2] ?? " ");

function endOfDoubled(text: string, start: number, quote: string): number {
  let at = start + 1;
  while (true) {
    const found = text.indexOf(quote, at);
    if (found < 0) throw unterminated(text, start);
    if (text[found + 1] !== quote) return found + 1;
    at = found + 2;
  }
}

function endOfEscapeString(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at++) {
    if (text[at] === "\\") at++;
    else if (text[at] === "'") {
      if (text[at + 1] !== "'") return at + 1;
      at++;
    }
  }
  throw unterminated(text, start);
}

function endOfDollarQuoted(text: string, start: number): number | undefined {
  // `a$b$c` is one name.
  if (wordPart.test(text[start - 1] ?? " ")) return undefined;
  const opened = matchAt(dollarQuote, text, start);
  if (opened === undefined) return undefined;
  const closing = text.indexOf(text.slice(start, opened), opened);
  if (closing < 0) throw unterminated(text, start);
  return closing + opened - start;
}

function endOfLine(text: string, start: number): number {
  const end = text.indexOf("\n", start);
  return end < 0 ? text.length : end;
}

function endOfBlockComment(text: string, start: number): number {
  let depth = 0;
  commentMark.lastIndex = start;
  while (true) {
    const match = commentMark.exec(text);
    if (!match) throw unterminated(text, start);
    depth += match[0] === "/*" ? 1 : -1;
    if (depth === 0) return commentMark.lastIndex;
  }
}

const unterminated = (text: string, start: number): EngineError =>
  new EngineError(
    `the dump's text has no end for the quoted text at character ${start}: ${JSON.stringify(text.slice(start, start + 60))}`,
    { remedy: "keep the dump's text and report it" },
  );
