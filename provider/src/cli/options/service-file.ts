import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { InvalidInputError } from "../../errors.js";

/** Settings of one section of pg_service.conf, by libpq's keywords (`host`, `port`, `user`, `sslmode`, ...). */
export type Service = Readonly<Record<string, string>>;

/** The files that libpq reads, in this order (manual, "The Connection Service File"). */
function serviceFiles(): string[] {
  const { PGSERVICEFILE, PGSYSCONFDIR } = process.env;
  const files = [PGSERVICEFILE ?? join(homedir(), ".pg_service.conf")];
  return PGSYSCONFDIR === undefined ? files : [...files, join(PGSYSCONFDIR, "pg_service.conf")];
}

/** The service of that name; undefined if no file contains it. */
export function findService(name: string): Service | undefined {
  for (const file of serviceFiles()) {
    const service = parseServices(readIfExists(file)).get(name);
    if (service) return service;
  }
  return undefined;
}

/** @throws InvalidInputError if no file contains the service */
export function requireService(name: string, property: string): Service {
  const service = findService(name);
  if (service) return service;
  throw new InvalidInputError([
    { property, reason: `no service ${name} in ${serviceFiles().join(" or ")}; add a section [${name}] there` },
  ]);
}

function readIfExists(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "";
    throw error;
  }
}

/** The sections of a file in the format of pg_service.conf, by name. */
export function parseServices(text: string): Map<string, Record<string, string>> {
  const services = new Map<string, Record<string, string>>();
  let current: Record<string, string> = {};
  for (const line of text.split(/\r?\n/).map((each) => each.trim())) {
    if (line === "" || line.startsWith("#")) continue;
    const section = /^\[(.+)\]$/.exec(line);
    if (section) {
      current = {};
      // libpq uses the first section of a name.
      if (!services.has(section[1]!)) services.set(section[1]!, current);
      continue;
    }
    const equals = line.indexOf("=");
    if (equals > 0) current[line.slice(0, equals).trim()] = line.slice(equals + 1).trim();
  }
  return services;
}
