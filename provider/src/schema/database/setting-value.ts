import { quoteLiteral } from "../../postgres/identifiers.js";
import { identifierName, tokenize } from "../sql/tokenize.js";

/** Settings whose value is a list of names, each in quotes of its own (GUC_LIST_QUOTE in PostgreSQL's guc tables). */
const nameLists: ReadonlySet<string> = new Set([
  "local_preload_libraries",
  "search_path",
  "session_preload_libraries",
  "shared_preload_libraries",
  "temp_tablespaces",
  "unix_socket_directories",
]);

/** What follows `SET name TO` so that the setting gets a value as the catalogue keeps it. */
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

/** In quotes or bare, where a library's path is no word of SQL. */
function elementName(element: string): string {
  const [token] = tokenize(element);
  return token?.kind === "identifier" ? identifierName(token) : element;
}
