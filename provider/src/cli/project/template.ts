import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { parseDocument, stringify } from "yaml";
import type { Server } from "../options/server-options.js";

/** A Pulumi project for one migration. It has no passwords. */
export interface Project {
  readonly name: string;
  readonly stack: string;
  readonly source: Server;
  readonly target: Server;
  /** Names, patterns and exclusions. */
  readonly databases: readonly string[];
  readonly migrationMode: "Offline" | "Online";
}

/** The template of `pulumi new`. */
const templateFolder = join(__dirname, "../../../template");

const description = "Migrates PostgreSQL databases";

/** The files of a project by name: those of the template, and the configuration of the stack. */
export async function projectFiles(project: Project): Promise<ReadonlyMap<string, string>> {
  const read = (name: string): Promise<string> => readFile(join(templateFolder, name), "utf8");
  const files = new Map<string, string>();
  for (const name of ["README.md", "index.ts", "package.json", "tsconfig.json"])
    files.set(name, (await read(name)).replaceAll("${PROJECT}", project.name));
  files.set("Pulumi.yaml", projectFile(await read("Pulumi.yaml"), project.name));
  files.set(`Pulumi.${project.stack}.yaml`, stackFile(project));
  // npm does not install a file of this name, so it cannot be read from the template.
  files.set(".gitignore", "node_modules/\nbin/\n");
  return files;
}

/** Without the questions of `pulumi new`. */
function projectFile(template: string, name: string): string {
  const document = parseDocument(template);
  document.set("name", name);
  document.set("description", description);
  document.delete("template");
  return document.toString();
}

function stackFile({ name, source, target, databases, migrationMode }: Project): string {
  const values = {
    migrationName: name.replace(/[^A-Za-z0-9-]/g, "-").slice(0, 63),
    ...serverValues("source", source),
    ...serverValues("target", target),
    dbsToMigrate: databases,
    migrationMode,
  };
  const config = Object.fromEntries(Object.entries(values).map(([key, value]) => [`${name}:${key}`, value]));
  // Quoted, because Pulumi's parser reads a plain `yes` or `on` as a boolean.
  return stringify({ config }, { defaultStringType: "QUOTE_DOUBLE", defaultKeyType: "PLAIN", lineWidth: 0 });
}

const serverValues = (side: "source" | "target", server: Server): Record<string, string> => ({
  [`${side}Host`]: server.host,
  [`${side}Port`]: String(server.port),
  [`${side}User`]: server.user,
  [`${side}SslMode`]: server.sslMode,
  ...(server.sslRootCert === undefined ? {} : { [`${side}SslRootCert`]: certificate(server.sslRootCert) }),
});

/** PEM text, or the path of a file, which is relative to this process's folder and not to the project's. */
const certificate = (textOrPath: string): string =>
  textOrPath.includes("-----BEGIN") ? textOrPath : resolve(textOrPath);
