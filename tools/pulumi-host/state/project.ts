import { existsSync, readFileSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join, resolve } from "node:path";
import { parse } from "yaml";
import { z } from "zod";

const configurationValue = z.union([z.string(), z.number(), z.boolean(), z.null()]);

const projectFile = z.object({
  name: z.string().min(1),
  runtime: z.union([
    z.string().transform((name) => ({ name, options: { typescript: true, nodeargs: "" } })),
    z.object({
      name: z.string(),
      options: z
        .object({ typescript: z.boolean().default(true), nodeargs: z.string().default("") })
        .default({ typescript: true, nodeargs: "" }),
    }),
  ]),
  main: z.string().optional(),
  config: z
    .record(z.string(), z.union([configurationValue, z.object({ default: z.unknown().optional() }).loose()]))
    .default({}),
});

export class InvalidProjectError extends Error {
  override readonly name = "InvalidProjectError";
}

/** A Pulumi program as its Pulumi.yaml describes it. */
export class Project {
  readonly name: string;
  /** The folder of Pulumi.yaml. */
  readonly rootDirectory: string;
  /** The working folder of the program and the dynamic provider, where Node.js finds their modules. */
  readonly workDirectory: string;
  readonly entryPoint: string;
  readonly typescript: boolean;
  readonly nodeArguments: readonly string[];
  /** Configuration in Pulumi.yaml for every stack, as texts. */
  readonly defaultConfiguration: Readonly<Record<string, string>>;

  private constructor(rootDirectory: string, file: z.infer<typeof projectFile>) {
    const main = resolve(rootDirectory, file.main ?? ".");
    const isDirectory = existsSync(main) && statSync(main).isDirectory();
    this.name = file.name;
    this.rootDirectory = rootDirectory;
    this.workDirectory = isDirectory ? main : dirname(main);
    this.entryPoint = isDirectory ? "." : basename(main);
    this.typescript = file.runtime.options.typescript;
    this.nodeArguments = file.runtime.options.nodeargs.split(/\s+/).filter((argument) => argument !== "");
    this.defaultConfiguration = defaultsOf(file.config);
  }

  static load(directory: string): Project {
    const rootDirectory = resolve(directory);
    const path = ["Pulumi.yaml", "Pulumi.yml"].map((name) => join(rootDirectory, name)).find(existsSync);
    if (path === undefined) throw new InvalidProjectError(`no Pulumi.yaml in ${rootDirectory}`);
    const parsed = projectFile.safeParse(parse(readFileSync(path, "utf8")));
    if (!parsed.success) throw new InvalidProjectError(`${path} is not valid: ${z.prettifyError(parsed.error)}`);
    const runtime = parsed.data.runtime.name;
    if (runtime !== "nodejs")
      throw new InvalidProjectError(`${path}: runtime ${runtime} is not supported, only nodejs`);
    return new Project(rootDirectory, parsed.data);
  }

  /** A command of the Pulumi SDK that the program itself uses. */
  sdkCommand(name: "run" | "dynamic-provider"): string {
    try {
      return createRequire(join(this.workDirectory, "program.js")).resolve(`@pulumi/pulumi/cmd/${name}`);
    } catch (cause) {
      const message = `@pulumi/pulumi is not installed for the program in ${this.workDirectory}: run npm install there`;
      throw new InvalidProjectError(message, { cause });
    }
  }
}

function defaultsOf(config: z.infer<typeof projectFile>["config"]): Record<string, string> {
  const defaults: Record<string, string> = {};
  for (const [key, declared] of Object.entries(config)) {
    const value: unknown = typeof declared === "object" && declared !== null ? declared.default : declared;
    if (value !== undefined && value !== null)
      defaults[key] = typeof value === "string" ? value : JSON.stringify(value);
  }
  return defaults;
}
