/** Creates an element. Children are added as text: nothing that a server sends is parsed as HTML. */
export function element<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Readonly<Record<string, string>> = {},
  ...children: readonly (Node | string)[]
): HTMLElementTagNameMap[Tag] {
  const created = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) created.setAttribute(name, value);
  created.append(...children);
  return created;
}

export function button(label: string, onClick: () => void, className = ""): HTMLButtonElement {
  const created = element("button", { type: "button", class: className }, label);
  created.addEventListener("click", onClick);
  return created;
}

/** @throws Error if the document has no element with the id */
export function byId(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the document has no #${id}`);
  return found;
}

export function progress(label: string, done: number, all: number): HTMLProgressElement {
  const share = all > 0 ? Math.min(1, done / all) : 0;
  return element("progress", { value: String(share), max: "1", "aria-label": label, title: label });
}
