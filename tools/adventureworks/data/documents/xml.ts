/** Text as the content of an XML element. */
export function escapeXml(text: string): string {
  return text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}

/** An element for each entry, in order; values are markup already. */
export function elements(entries: Readonly<Record<string, string | number>>): string {
  return Object.entries(entries)
    .map(([name, value]) => `<${name}>${String(value)}</${name}>`)
    .join("");
}
