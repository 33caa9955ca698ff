import { element } from "../components/element.js";

/** An input with its label. The names are those of the API, so that a form is read by {@link valuesOf}. */
export function textField(name: string, label: string, attributes: Readonly<Record<string, string>> = {}): HTMLElement {
  const input = element("input", { id: name, name, ...attributes });
  return element("div", { class: "field" }, element("label", { for: name }, label), input);
}

/** For text with several lines. */
export function areaField(name: string, label: string): HTMLElement {
  const area = element("textarea", { id: name, name, rows: "1", spellcheck: "false" });
  return element("div", { class: "field" }, element("label", { for: name }, label), area);
}

export function choiceField(name: string, label: string, values: readonly string[]): HTMLElement {
  const select = element("select", { id: name, name }, ...values.map((value) => element("option", { value }, value)));
  return element("div", { class: "field" }, element("label", { for: name }, label), select);
}

export function switchField(name: string, label: string): HTMLElement {
  const box = element("input", { type: "checkbox", id: name, name, value: "true" });
  return element("div", { class: "switch" }, box, element("label", { for: name }, label));
}

/** The lines of a text that are not empty. */
export const linesOf = (text: string): string[] =>
  text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");

/** A part of a form with a title. */
export const group = (title: string, ...children: readonly Node[]): HTMLElement =>
  element("fieldset", {}, element("legend", {}, title), ...children);

/** The values that the user entered, by name, without blank ones. */
export function valuesOf(form: HTMLFormElement): Map<string, string> {
  // A form without files has only texts.
  const entries = [...new FormData(form)] as [string, string][];
  return new Map(entries.filter(([, value]) => value.trim() !== ""));
}
