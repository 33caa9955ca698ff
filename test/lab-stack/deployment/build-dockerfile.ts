import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, cp, mkdir, readFile, stat } from "node:fs/promises";
import { basename, dirname, join, relative, resolve } from "node:path";
import { promisify } from "node:util";
import { Copy, DockerfileParser, type Instruction } from "dockerfile-ast";
import type { Image } from "../azure-stand-in/containers";

export interface BuiltImage extends Image {
  /** Of the last stage. */
  readonly base: string;
  readonly user: string;
  readonly environment: Readonly<Record<string, string>>;
}

/** A stage under way: `/` in it is a directory of this machine. */
interface Stage {
  readonly root: string;
  readonly base: string;
  directory: string;
  user: string;
  entrypoint: readonly string[];
  readonly environment: Record<string, string>;
}

/**
 * Follows a Dockerfile without Docker: each stage in a directory of its own, on this machine's Node.js in the place of the
 * base image's. Of what it leaves out, users are told, and base images named.
 */
export async function followDockerfile(context: string, directory: string): Promise<BuiltImage> {
  const file = DockerfileParser.parse(await readFile(join(context, "Dockerfile"), "utf8"));
  const isLeftOut = ignored((await readFile(join(context, ".dockerignore"), "utf8")).split("\n"));
  const stages = new Map<string, Stage>();
  let stage: Stage | undefined;
  for (const instruction of file.getInstructions()) {
    const words = instruction.getArguments().map((argument) => argument.getValue());
    if (instruction.getKeyword() === "FROM") {
      stage = await begin(join(directory, String(stages.size)), words[0]!);
      stages.set(words[2] ?? "", stage);
    } else if (stage) await follow(instruction, words, stage, { context, stages, isLeftOut });
    else throw new Error(`${instruction.getKeyword()} stands before FROM`);
  }
  if (!stage) throw new Error("the Dockerfile has no stage");
  const [command, ...given] = stage.entrypoint;
  const { base, user, environment } = stage;
  return { entrypoint: [command!, ...given], directory: within(stage, "."), base, user, environment };
}

async function begin(root: string, base: string): Promise<Stage> {
  await mkdir(root, { recursive: true });
  await chmod(root, 0o755);
  return { root, base, directory: "/", user: "root", entrypoint: [], environment: {} };
}

/** A stage's path on this machine. */
const within = (stage: Stage, path: string): string => join(stage.root, resolve("/", stage.directory, path));

interface Surroundings {
  readonly context: string;
  readonly stages: ReadonlyMap<string, Stage>;
  readonly isLeftOut: (path: string) => boolean;
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
    case "RUN":
      return run(instruction.getArgumentsContent() ?? "", stage);
    default:
      throw new Error(`${instruction.getKeyword()} is not followed here`);
  }
}

async function copy(
  from: string | undefined,
  words: string[],
  stage: Stage,
  { context, stages, isLeftOut }: Surroundings,
): Promise<void> {
  const destination = words.at(-1)!;
  for (const path of words.slice(0, -1)) {
    const source = join(from === undefined ? context : stages.get(from)!.root, path);
    if (from === undefined && isLeftOut(path)) throw new Error(`COPY ${path}: .dockerignore leaves it out`);
    const target = destination.endsWith("/") ? join(destination, basename(path)) : destination;
    if (from !== undefined) await copyWhole(source, within(stage, target));
    else
      await cp(source, within(stage, target), {
        recursive: true,
        verbatimSymlinks: true,
        filter: (one) => !isLeftOut(relative(context, one)),
      });
  }
}

/** By the system's program: fs.cp takes three times its CPU for all the small files of node_modules. */
async function copyWhole(source: string, target: string): Promise<void> {
  const isDirectory = (await stat(source)).isDirectory();
  await mkdir(isDirectory ? target : dirname(target), { recursive: true });
  await promisify(execFile)("cp", ["-RP", isDirectory ? `${source}/.` : source, target]);
}

async function run(command: string, stage: Stage): Promise<void> {
  // What npm tells its scripts is about this repository, not about the copy.
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^(npm_(package|lifecycle|config_local)|NODE_ENV)/.test(name),
  );
  const child = spawn("sh", ["-c", command], {
    cwd: within(stage, "."),
    // The workspace's own installation has brought the packages already.
    env: { ...Object.fromEntries(inherited), ...stage.environment, npm_config_prefer_offline: "true" },
    stdio: ["ignore", "ignore", "pipe"],
  });
  let errors = "";
  child.stderr.on("data", (chunk: Buffer) => (errors += chunk.toString()));
  const [code] = (await once(child, "close")) as [number | null];
  if (code !== 0) throw new Error(`RUN ${command} has failed:\n${errors}`);
}

/**
 * The rules of .dockerignore, as far as this one uses them: paths, `*` for all, `!` for exceptions; the last one
 * decides.
 */
function ignored(lines: readonly string[]): (path: string) => boolean {
  const rules = lines.filter((line) => line !== "");
  return (path) => {
    let isLeftOut = false;
    for (const rule of rules) {
      const pattern = rule.replace(/^!/, "");
      if (pattern === "*" || path === pattern || path.startsWith(`${pattern}/`)) isLeftOut = !rule.startsWith("!");
    }
    return isLeftOut;
  };
}
