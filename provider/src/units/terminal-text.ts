/** Control characters and bidirectional marks, which change how a terminal shows the text after them. */
const terminalControls = /\p{Cc}|[\u202a-\u202e\u2066-\u2069]/gu;

const escapeCharacter = (character: string): string => {
  const code = character.codePointAt(0)!;
  const digits = code.toString(16);
  return code < 0x20 ? `\\x${digits.padStart(2, "0")}` : `\\u${digits.padStart(4, "0")}`;
};

/**
 * Escapes control characters before text is written to a terminal. Names and messages come from servers and may contain
 * sequences that clear the screen. Line breaks and tabs are kept.
 *
 * @example escapeControls("a\u001b[2J") === "a\\x1b[2J"
 */
export const escapeControls = (text: string): string =>
  text.replace(terminalControls, (character) => (/[\n\t]/.test(character) ? character : escapeCharacter(character)));

/**
 * Like {@link escapeControls}, on one line: `
 * ` and `\t` are escaped, too.
 */
export const escapeLine = (text: string): string =>
  escapeControls(text.replaceAll("\r", "\\r").replaceAll("\n", "\\n").replaceAll("\t", "\\t"));

/** Indents further lines, so that a name with a line break in a message cannot look like another line of a log. */
export const indentFurtherLines = (message: string): string => message.replaceAll("\n", "\n  ");

/** @param maxLength in UTF-16 units; a server's message may have megabytes */
export function truncate(text: string, maxLength: number): string {
  if (text.length <= maxLength) return text;
  return `${text.slice(0, maxLength)}… (${(text.length - maxLength).toLocaleString("en")} more characters)`;
}

const wide = /^[\p{Emoji_Presentation}\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60]/u;

/** Number of terminal columns: two for a Chinese character, none for a combining accent. */
export const displayWidth = (text: string): number =>
  Array.from(text).reduce(
    (sum, character) => sum + (wide.test(character) ? 2 : /\p{Mark}/u.test(character) ? 0 : 1),
    0,
  );
