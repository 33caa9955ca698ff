import { readFileSync, readdirSync, statSync } from "node:fs";
import { basename, extname, join } from "node:path";
import { InvalidInputError, messageOf } from "../../errors.js";
import type { ListProblem, Target, TargetList } from "../../fleet/target.js";
import { usualMaintenanceDatabase } from "../../inputs/maintenance-database.js";
import type { ListLine } from "../../inputs/lists/list-line.js";
import { readListFile } from "../../inputs/lists/read-list-file.js";
import { resolveTarget, type TargetFlags } from "../options/server-options.js";
import { parseServices, type Service } from "../options/service-file.js";
import { allFlexibleServers, queryResourceGraph, resourceManager, type ResourceManager } from "./resource-graph.js";
import { targetLineSchema, type TargetLine } from "./target-line.js";

/** The value of `--targets` that stands for Azure Resource Graph, alone or before a query. */
const azurePrefix = "azure:";

/** An entry of a list and the place that a report names. */
interface Entry {
  readonly place: string;
  readonly line: ListLine;
  /** Settings of a service file, which may have a password. */
  readonly service?: Service;
}

/**
 * Reads the targets that `--targets` names: a file in CSV, YAML or JSON, or a directory of service files. A query of Azure Resource
 * Graph follows `azure:`, or is in a file `*.kql`. Flags and the environment complete every entry as they complete a single
 * target. A wrong entry becomes a problem.
 *
 * @throws InvalidInputError if the list itself cannot be read; RefusedError, UnreachableError of Azure
 * @example const { targets, problems } = await readTargets("targets.csv", { user: "migrator" });
 */
export async function readTargets(
  list: string,
  flags: TargetFlags,
  manager: ResourceManager = resourceManager(),
): Promise<TargetList> {
  const problems: ListProblem[] = [];
  const seen = new Map<string, string>();
  const names = new Map<string, string>();
  const targets: Target[] = [];
  for (const entry of await entriesOf(list, manager)) {
    try {
      const target = await targetOf(entry, flags);
      refuseDuplicate(seen, serverOf(target), entry.place, `the target ${serverOf(target)}`);
      refuseDuplicate(names, target.name, entry.place, `the name ${target.name}`);
      targets.push(target);
    } catch (error) {
      if (!(error instanceof InvalidInputError)) throw error;
      problems.push(...error.failures.map((failure) => ({ place: entry.place, reason: textOf(failure) })));
    }
  }
  return { targets, problems };
}

const textOf = ({ property, reason }: { property: string; reason: string }): string =>
  [property, reason].filter((part) => part !== "").join(": ");

async function entriesOf(list: string, manager: ResourceManager): Promise<Entry[]> {
  const query = queryIn(list);
  if (query !== undefined)
    return (await queryResourceGraph(query, manager)).map((line) => ({ place: `row ${line.line} of Azure`, line }));
  if (isDirectory(list)) return serviceEntries(list);
  const lines = readListFile(list, "--targets", ["targets", "value", "data"]);
  return lines.map((line) => ({ place: `${basename(list)}:${line.line}`, line }));
}

/** The query that the value of `--targets` contains or names. */
function queryIn(list: string): string | undefined {
  if (list.startsWith(azurePrefix)) return list.slice(azurePrefix.length).trim() || allFlexibleServers;
  return extname(list).toLowerCase() === ".kql" ? readFileSync(list, "utf8") : undefined;
}

function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch (error) {
    throw new InvalidInputError([{ property: "--targets", reason: messageOf(error) }]);
  }
}

/** Every section of every file `*.conf`, in the order of the file names. */
function serviceEntries(directory: string): Entry[] {
  const files = readdirSync(directory).filter((file) => extname(file) === ".conf");
  return files.sort().flatMap((file) =>
    [...parseServices(readFileSync(join(directory, file), "utf8"))].map(([name, service]): Entry => ({
      ...{ place: `${file}:[${name}]`, line: { line: 1, values: { name } } },
      service,
    })),
  );
}

async function targetOf({ line, service }: Entry, flags: TargetFlags): Promise<Target> {
  if ("problem" in line) throw new InvalidInputError([{ property: "", reason: line.problem }]);
  const given = service ? { name: String(line.values.name) } : parsed(line.values);
  const { maintenanceDatabase = flags.maintenanceDatabase ?? usualMaintenanceDatabase } = given;
  // The environment's host would silently replace one that a section does not have.
  if (service && !service.host) throw new InvalidInputError([{ property: "host", reason: "is missing" }]);
  const target = await resolveTarget(
    { ...flags, ...(service ? serviceFlags(service) : lineFlags(given)), maintenanceDatabase },
    { isListed: true, ...passwordOf(given, service) },
  );
  return { name: given.name ?? `${target.host}:${target.port}`, address: { target, maintenanceDatabase } };
}

function parsed(values: Readonly<Record<string, unknown>>): TargetLine {
  const result = targetLineSchema.safeParse(values);
  if (result.success) return result.data;
  throw new InvalidInputError(
    result.error.issues.map(({ path, message }) => ({ property: path.join("."), reason: message })),
  );
}

type Defined<T> = { readonly [Key in keyof T]?: Exclude<T[Key], undefined> };

const withoutUndefined = <T extends object>(values: T): Defined<T> =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Defined<T>;

function lineFlags({ host, port, user, sslMode, sslRootCert, auth, service }: TargetLine): TargetFlags {
  const authText = auth === undefined || typeof auth === "string" ? auth : JSON.stringify(auth);
  return withoutUndefined({
    ...{ host, port, user, service, sslmode: sslMode, sslrootcert: sslRootCert },
    auth: authText,
  });
}

const serviceFlags = ({ host, port, user, sslmode, sslrootcert }: Service): TargetFlags =>
  withoutUndefined({ host, port, user, sslmode, sslrootcert });

/** @throws InvalidInputError if the named variable or file is missing or empty; the message has no content of the file */
function passwordOf({ passwordEnv, passwordFile }: TargetLine, service: Service | undefined): { password?: string } {
  if (service?.password) return { password: service.password };
  if (passwordEnv !== undefined) {
    const password = process.env[passwordEnv];
    if (password) return { password };
    throw new InvalidInputError([{ property: "passwordEnv", reason: `the variable ${passwordEnv} is not set` }]);
  }
  if (passwordFile === undefined) return {};
  try {
    const password = readFileSync(passwordFile, "utf8").replace(/\r?\n$/, "");
    if (password !== "") return { password };
  } catch (error) {
    throw new InvalidInputError([{ property: "passwordFile", reason: messageOf(error) }]);
  }
  throw new InvalidInputError([{ property: "passwordFile", reason: `${passwordFile} is empty` }]);
}

const serverOf = ({ address: { target, maintenanceDatabase } }: Target): string => {
  const server = `${target.host.toLowerCase()}:${target.port}`;
  return maintenanceDatabase === usualMaintenanceDatabase ? server : `${server}/${maintenanceDatabase}`;
};

/** @throws InvalidInputError naming both places */
function refuseDuplicate(seen: Map<string, string>, key: string, place: string, what: string): void {
  const former = seen.get(key);
  if (former !== undefined)
    throw new InvalidInputError([{ property: "", reason: `${what} is also at ${former}; remove one of the two` }]);
  seen.set(key, place);
}
