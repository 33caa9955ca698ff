import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, cp, mkdir, readFile, stat } from "node:fs/promises";
import { basename, dirname, join, relative, resolve } from "node:path";
import { promisify } from "node:util";
import { Copy, DockerfileParser, type Instruction } from "dockerfile-ast";
import type { Image } from "../runners/pods";

export interface BuiltImage extends Image {
  /** The base image of the last stage. */
  readonly base: string;
  readonly user: string;
  readonly environment: Readonly<Record<string, string>>;
  /** Arguments of the entry point if the container sets none. */
  readonly command: readonly string[];
}

/** A stage of the build. Its root directory is a directory of this machine. */
interface Stage {
  readonly root: string;
  readonly base: string;
  directory: string;
  user: string;
  entrypoint: readonly string[];
  command: readonly string[];
  readonly environment: Record<string, string>;
}

/**
 * Builds a Dockerfile without Docker: each stage in its own directory, with this machine's Node.js instead of the base
 * image's. It does not apply USER and FROM, and returns their values.
 */
export async function buildDockerfile(context: string, directory: string): Promise<BuiltImage> {
  const file = DockerfileParser.parse(await readFile(join(context, "Dockerfile"), "utf8"));
  const isExcluded = ignored((await readFile(join(context, ".dockerignore"), "utf8")).split("\n"));
  const stages = new Map<string, Stage>();
  let stage: Stage | undefined;
  for (const instruction of file.getInstructions()) {
    const words = instruction.getArguments().map((argument) => argument.getValue());
    if (instruction.getKeyword() === "FROM") {
      stage = await begin(join(directory, String(stages.size)), words[0]!);
      stages.set(words[2] ?? "", stage);
    } else if (stage) await follow(instruction, words, stage, { context, stages, isExcluded });
    else throw new Error(`${instruction.getKeyword()} precedes FROM`);
  }
  if (!stage) throw new Error("the Dockerfile has no stage");
  const [program, ...given] = stage.entrypoint;
  const { base, user, environment, command } = stage;
  const entrypoint = [within(stage, program!), ...given] as const;
  return { entrypoint, command, directory: within(stage, "."), base, user, environment };
}

async function begin(root: string, base: string): Promise<Stage> {
  await mkdir(root, { recursive: true });
  await chmod(root, 0o755);
  return { root, base, directory: "/", user: "root", entrypoint: [], command: [], environment: {} };
}

/** A stage's path on this machine. */
const within = (stage: Stage, path: string): string => join(stage.root, resolve("/", stage.directory, path));

interface Surroundings {
  readonly context: string;
  readonly stages: ReadonlyMap<string, Stage>;
  readonly isExcluded: (path: string) => boolean;
}

async function follow(instruction: Instruction, words: string[], stage: Stage, around: Surroundings): Promise<void> {
  if (instruction instanceof Copy)
    return copy(instruction.getFromFlag()?.getValue() ?? undefined, words, stage, around);
  switch (instruction.getKeyword()) {
    case "WORKDIR":
      stage.directory = resolve("/", stage.directory, words[0]!);
      await mkdir(within(stage, "."), { recursive: true });
      return;
    case "ENV":
      for (const word of words) {
        const [name, ...value] = word.split("=");
        stage.environment[name!] = value.join("=");
      }
      return;
    case "USER":
      stage.user = words[0]!;
      return;
    case "ENTRYPOINT":
      stage.entrypoint = JSON.parse(instruction.getRawArgumentsContent() ?? "") as string[];
      return;
    case "CMD":
      stage.command = JSON.parse(instruction.getRawArgumentsContent() ?? "") as string[];
      return;
    case "RUN":
      return run(instruction.getRawArgumentsContent() ?? "", stage);
    default:
      throw new Error(`${instruction.getKeyword()} is not supported`);
  }
}

async function copy(
  from: string | undefined,
  words: string[],
  stage: Stage,
  { context, stages, isExcluded }: Surroundings,
): Promise<void> {
  const destination = words.at(-1)!;
  for (const path of words.slice(0, -1)) {
    const source = join(from === undefined ? context : stages.get(from)!.root, path);
    if (from === undefined && isExcluded(path)) throw new Error(`COPY ${path}: excluded by .dockerignore`);
    // Of a directory, Docker copies the content.
    const isFile = destination.endsWith("/") && (await stat(source)).isFile();
    const target = isFile ? join(destination, basename(path)) : destination;
    if (from !== undefined) await copyWhole(source, within(stage, target));
    else
      await cp(source, within(stage, target), {
        recursive: true,
        verbatimSymlinks: true,
        filter: (one) => !isExcluded(relative(context, one)),
      });
  }
}

/** Uses the program cp: fs.cp needs three times the CPU for the many small files of node_modules. */
async function copyWhole(source: string, target: string): Promise<void> {
  const isDirectory = (await stat(source)).isDirectory();
  await mkdir(isDirectory ? target : dirname(target), { recursive: true });
  await promisify(execFile)("cp", ["-RP", isDirectory ? `${source}/.` : source, target]);
}

async function run(command: string, stage: Stage): Promise<void> {
  // npm sets variables for its scripts that describe this repository, not the copy.
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^(npm_(package|lifecycle|config_local)|NODE_ENV)/.test(name),
  );
  // An absolute path that a command writes is in the stage's root.
  const child = spawn("sh", ["-c", command.replaceAll(/ (\/\w+)/g, (_, path: string) => ` ${stage.root}${path}`)], {
    cwd: within(stage, "."),
    // The installation of the workspace cached the packages.
    env: { ...Object.fromEntries(inherited), ...stage.environment, npm_config_prefer_offline: "true" },
    stdio: ["ignore", "ignore", "pipe"],
  });
  let errors = "";
  child.stderr.on("data", (chunk: Buffer) => (errors += chunk.toString()));
  const [code] = (await once(child, "close")) as [number | null];
  if (code !== 0) throw new Error(`RUN ${command} failed:\n${errors}`);
}

/**
 * Supports the rules that this repository's .dockerignore uses: paths, `*` for all, and `!` for exceptions. The last
 * matching rule decides.
 */
function ignored(lines: readonly string[]): (path: string) => boolean {
  const rules = lines.filter((line) => line !== "");
  return (path) => {
    let isExcluded = false;
    for (const rule of rules) {
      const pattern = rule.replace(/^!/, "");
      if (pattern === "*" || path === pattern || path.startsWith(`${pattern}/`)) isExcluded = !rule.startsWith("!");
    }
    return isExcluded;
  };
}
