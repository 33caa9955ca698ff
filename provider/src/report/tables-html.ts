import { html, type Html, type HtmlPart } from "./html.js";

/** A column of a table. `number` is right-aligned, `text` may be long, `narrow` does not wrap. */
export interface Column {
  readonly title: string;
  readonly form?: "number" | "text" | "narrow" | "name";
}

/**
 * A table that scrolls by itself on a narrow screen.
 *
 * @param label its name for screen readers
 */
export function tableHtml(label: string, columns: readonly Column[], rows: readonly (readonly HtmlPart[])[]): Html {
  const head = columns.map(({ title, form }) => html`<th scope="col" class="${form}">${title}</th>`);
  const body = rows.map(
    (row) =>
      html`<tr>
        ${row.map((cell, index) => html`<td class="${columns[index]?.form}">${cell}</td>`)}
      </tr> `,
  );
  return html`<div class="scroll" role="region" tabindex="0" aria-label="${label}">
    <table>
      <thead>
        <tr>
          ${head}
        </tr>
      </thead>
      <tbody>
        ${body}
      </tbody>
    </table>
  </div>`;
}

/** A table with a heading for each row. */
export function factsHtml(label: string, rows: readonly (readonly [name: string, value: HtmlPart])[]): Html {
  const body = rows.map(
    ([name, value]) =>
      html`<tr>
        <th scope="row">${name}</th>
        <td>${value}</td>
      </tr> `,
  );
  return html`<div class="scroll" role="region" tabindex="0" aria-label="${label}">
    <table class="facts">
      <tbody>
        ${body}
      </tbody>
    </table>
  </div>`;
}

/** `2030-01-31 22:00:05` in UTC. */
export const timeHtml = (iso: string | undefined): Html | string =>
  iso === undefined ? "-" : html`<time datetime="${iso}">${iso.slice(0, 19).replace("T", " ")}</time>`;

/** With a thousands separator. */
export const count = (value: number): string => value.toLocaleString("en");
