import { escapeControls, truncate } from "../units/terminal-text.js";

/** A server's message may have megabytes. */
const maxLength = 32_000;

/** Text that Pulumi prints. It may contain names and messages of servers, which must not control the terminal. */
export const printable = (text: string): string => escapeControls(truncate(text, maxLength));
