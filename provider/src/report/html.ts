import { escapeControls } from "../units/terminal-text.js";

/** HTML whose texts are escaped. */
export class Html {
  constructor(readonly text: string) {}
}

/** Undefined and false are omitted. */
export type HtmlPart = Html | string | number | false | undefined | readonly HtmlPart[];

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** Escapes text for elements and quoted attributes, and makes control characters visible. */
const escapeHtml = (text: string): string =>
  escapeControls(text).replace(/[&<>"']/g, (character) => entities[character]!);

function textOf(part: HtmlPart): string {
  if (part === undefined || part === false) return "";
  if (part instanceof Html) return part.text;
  return typeof part === "object" ? part.map(textOf).join("") : escapeHtml(String(part));
}

/**
 * Tag of templates for HTML. All values are escaped, except values that are HTML already.
 *
 * @example html`<td>${"<script>"}</td>`.text === "<td>&lt;script&gt;</td>"
 */
export const html = (parts: TemplateStringsArray, ...values: readonly HtmlPart[]): Html =>
  new Html(parts.reduce((all, part, index) => all + textOf(values[index - 1]) + part));
