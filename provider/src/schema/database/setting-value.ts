import { quoteLiteral } from "../../postgres/identifiers.js";
import { identifierName, tokenize } from "../sql/tokenize.js";

/** Settings whose value is a list of quoted names (GUC_LIST_QUOTE in PostgreSQL's guc tables). */
const nameLists: ReadonlySet<string> = new Set([
  "local_preload_libraries",
  "search_path",
  "session_preload_libraries",
  "shared_preload_libraries",
  "temp_tablespaces",
  "unix_socket_directories",
]);

/** Returns the text after `SET name TO` that gives the setting its value in the catalogue. */
export function settingValue(name: string, value: string): string {
  if (!nameLists.has(name.toLowerCase())) return quoteLiteral(value);
  const names = nameList(value);
  return names.length === 0 ? "''" : names.map(quoteLiteral).join(", ");
}

function nameList(value: string): string[] {
  const elements: string[] = [];
  let start = 0;
  for (const token of [...tokenize(value), undefined]) {
    if (token && token.text !== ",") continue;
    const element = value.slice(start, token?.start).trim();
    if (element !== "") elements.push(elementName(element));
    start = token?.end ?? value.length;
  }
  return elements;
}

/** Parses a quoted or bare element. The path of a library need not be an SQL word. */
function elementName(element: string): string {
  const [token] = tokenize(element);
  return token?.kind === "identifier" ? identifierName(token) : element;
}
