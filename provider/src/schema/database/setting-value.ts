import { quoteLiteral } from "../../postgres/identifiers.js";

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

/** In the form of the server's SplitIdentifierString: only double quotes have a meaning, and nothing is a comment. */
const element = /\s*(?:"((?:[^"]|"")*)"|([^,]*?))\s*(?:,|$)/gy;

const nameList = (value: string): string[] =>
  [...value.matchAll(element)].flatMap(([, quoted, bare = ""]) => {
    const name = quoted?.replaceAll('""', '"') ?? bare;
    return name === "" ? [] : [name];
  });
