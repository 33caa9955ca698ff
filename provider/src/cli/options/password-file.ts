import { readFileSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { InvalidInputError, messageOf } from "../../errors.js";
import { writeMessage } from "../output/terminal.js";

export interface PasswordOwner {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly database: string;
}

/**
 * The password in PG_MIGRATION_PASSFILE, PGPASSFILE or `~/.pgpass` for a role on a server: the first line whose four fields match
 * (manual, "The Password File"). As with libpq, a file that other users may read is ignored. Only PG_MIGRATION_PASSFILE names a
 * mounted secret, whose permissions an orchestration engine chooses. The package `pgpass` is not used: it ignores
 * the file while PGPASSWORD is set, which here is the password of the other server.
 *
 * @throws InvalidInputError if the file of PG_MIGRATION_PASSFILE cannot be read
 */
export function passwordFromFile(owner: PasswordOwner): string | undefined {
  const { PG_MIGRATION_PASSFILE: mounted, PGPASSFILE: file = join(homedir(), ".pgpass") } = process.env;
  const text = mounted ? readMounted(mounted) : readPrivate(file);
  const wanted = [owner.host, String(owner.port), owner.database, owner.user];
  for (const line of text.split(/\r?\n/)) {
    if (line === "" || line.startsWith("#")) continue;
    const fields = fieldsOf(line);
    if (fields.length >= 5 && wanted.every((value, i) => fields[i] === "*" || fields[i] === value)) return fields[4];
  }
  return undefined;
}

function readMounted(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new InvalidInputError([{ property: "PG_MIGRATION_PASSFILE", reason: messageOf(error) }]);
  }
}

function readPrivate(file: string): string {
  try {
    if (process.platform !== "win32" && (statSync(file).mode & 0o077) !== 0) {
      writeMessage(`pg-migration: ${file} is ignored because other users may read it\n  To do: chmod 600 ${file}`);
      return "";
    }
    return readFileSync(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "";
    throw error;
  }
}

/** Splits at colons; a backslash escapes the next character. */
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
