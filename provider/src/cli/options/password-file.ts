import { readFileSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

export interface PasswordOwner {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly database: string;
}

/**
 * The password that `~/.pgpass` (or PGPASSFILE) has for a role on a server: the first line of which all four fields match
 * (manual, "The Password File"). As with libpq, a file that others may read is not used.
 */
export function filedPassword(owner: PasswordOwner): string | undefined {
  const file = process.env.PGPASSFILE ?? join(homedir(), ".pgpass");
  const text = readPrivate(file);
  const wanted = [owner.host, String(owner.port), owner.database, owner.user];
  for (const line of text.split(/\r?\n/)) {
    if (line === "" || line.startsWith("#")) continue;
    const fields = fieldsOf(line);
    if (fields.length >= 5 && wanted.every((value, i) => fields[i] === "*" || fields[i] === value)) return fields[4];
  }
  return undefined;
}

function readPrivate(file: string): string {
  try {
    if (process.platform !== "win32" && (statSync(file).mode & 0o077) !== 0) {
      process.stderr.write(`${file} is not used: others may read it\n  To do: chmod 600 ${file}\n`);
      return "";
    }
    return readFileSync(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "";
    throw error;
  }
}

/** Splits at colons; a backslash takes the next character as it is. */
function fieldsOf(line: string): string[] {
  const fields = [""];
  for (let i = 0; i < line.length; i++) {
    if (line[i] === ":") fields.push("");
    else {
      if (line[i] === "\\" && i + 1 < line.length) i++;
      fields.push((fields.pop() ?? "") + line.charAt(i));
    }
  }
  return fields;
}
