/** Makes an element. Text is text: nothing of what a server says is ever read as HTML. */
export function element<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Readonly<Record<string, string>> = {},
  ...children: readonly (Node | string)[]
): HTMLElementTagNameMap[Tag] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

export function button(label: string, onClick: () => void, className = ""): HTMLButtonElement {
  const made = element("button", { type: "button", class: className }, label);
  made.addEventListener("click", onClick);
  return made;
}

/** The element of the document with that id, which has it. */
export function byId(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the document has no #${id}`);
  return found;
}

/** A table with a name for screen readers; `numbers` are columns set to the right. */
export function table(
  label: string,
  head: readonly string[],
  rows: readonly (readonly (Node | string)[])[],
  numbers: readonly number[] = [],
): HTMLElement {
  const classOf = (column: number): Record<string, string> => (numbers.includes(column) ? { class: "number" } : {});
  const cellOf = (cell: Node | string, i: number): HTMLElement =>
    element("td", { "data-label": head[i]!, ...classOf(i) }, cell);
  const headRow = element("tr", {}, ...head.map((name, i) => element("th", { scope: "col", ...classOf(i) }, name)));
  const bodyRows = rows.map((row) => element("tr", {}, ...row.map(cellOf)));
  return element(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": label },
    element(
      "table",
      { "aria-label": label, class: "cards" },
      element("thead", {}, headRow),
      element("tbody", {}, ...bodyRows),
    ),
  );
}

export function progress(label: string, done: number, all: number): HTMLProgressElement {
  const share = all > 0 ? Math.min(1, done / all) : 0;
  return element("progress", { value: String(share), max: "1", "aria-label": label, title: label });
}
