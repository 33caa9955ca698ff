/** A text as one word of a POSIX shell's command line. @example shellWord("my db") === "'my db'" */
export const shellWord = (text: string): string =>
  /^[\w./@:][\w./@:-]*$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
