import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";

/** An image, whose entry point is a program of this machine. */
export interface Image {
  readonly entrypoint: readonly [program: string, ...given: string[]];
  readonly directory: string;
}

/** The worker of this repository. */
const ownWorker: Image = {
  entrypoint: [process.execPath, resolve("provider/bin/pg-migration.js"), "worker"],
  directory: ".",
};

/** A container as an engine starts it: arguments of the image's entry point, variables, and mounted files by path. */
export interface PodTemplate {
  readonly image?: Image | undefined;
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly files: Readonly<Record<string, string>>;
}

/** The unprivileged user 65534. Only root can change the user. */
const unprivileged = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {};

/** A pod: a real worker process. Its mounted files are below a folder of this machine. */
class Pod {
  log = "";
  /** An engine deletes it, to drain a node for example. */
  isEvicted = false;

  private constructor(
    readonly child: ChildProcess,
    readonly folder: string,
  ) {
    child.stderr!.on("data", (chunk: Buffer) => (this.log += chunk.toString()));
  }

  static async start({ image = ownWorker, args, environment, files }: PodTemplate): Promise<Pod> {
    const folder = await mkdtemp(join(tmpdir(), "pod-"));
    await chmod(folder, 0o755);
    // The paths of the job are those in the container.
    const here = (text: string): string => text.replaceAll("/run/pg-migration", join(folder, "run/pg-migration"));
    for (const [path, content] of Object.entries(files)) {
      await mkdir(dirname(join(folder, path)), { recursive: true });
      await writeFile(join(folder, path), here(content));
    }
    const variables = Object.entries(environment).map(([name, value]) => [name, here(value)]);
    const env = {
      ...(Object.fromEntries(variables) as Record<string, string>),
      PATH: process.env.PATH,
      PG_MIGRATION_HTTP: "127.0.0.1:0",
    };
    const [program, ...given] = image.entrypoint;
    const child = spawn(program, [...given, ...args.map(here)], {
      ...{ cwd: image.directory, env, stdio: ["ignore", "ignore", "pipe"] },
      ...unprivileged,
    });
    return new Pod(child, folder);
  }

  async ended(): Promise<number> {
    const [code, signal] = (await once(this.child, "close")) as [number | null, NodeJS.Signals | null];
    await rm(this.folder, { recursive: true, force: true });
    return code ?? (signal === "SIGKILL" ? 137 : 143);
  }

  /** Whether the readiness probe succeeds. */
  async isReady(): Promise<boolean> {
    const port = / port (\d+)/.exec(this.log)?.[1];
    if (port === undefined) return false;
    return (await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => undefined))?.ok ?? false;
  }
}

const endWithinMs = 20_000;

export interface Engine {
  readonly template: PodTemplate;
  readonly replicas: number;
  /** What happens after a pod has ended with this exit code. */
  readonly after: (exitCode: number, isEvicted: boolean) => "complete" | "replace" | "count" | "fail";
  /** Failures of a replica that are counted until it is given up. */
  readonly retries: number;
}

/** Runs and replaces pods like a Job, a StatefulSet, a Container Apps job or a container group. */
export class PodEngine {
  readonly #pods = new Map<number, Pod>();
  /** Also those that ended. */
  readonly #allPods: Pod[] = [];
  readonly #exitCodes: number[] = [];
  readonly #running: Promise<void>[];
  #isStopped = false;
  #hasFailed = false;

  constructor(readonly engine: Engine) {
    this.#running = Array.from({ length: engine.replicas }, (_, index) => this.#run(index));
  }

  /** Exit codes of all pods that ended, in order. */
  get exitCodes(): readonly number[] {
    return this.#exitCodes;
  }

  get pods(): readonly Pod[] {
    return [...this.#pods.values()];
  }

  /** All processes so far. */
  get processIds(): readonly number[] {
    return this.#allPods.map(({ child }) => child.pid!);
  }

  get logs(): string {
    return this.#allPods.map(({ log }) => log).join("\n");
  }

  podWith(pid: number): Pod | undefined {
    return this.pods.find(({ child }) => child.pid === pid);
  }

  evict(pod: Pod): void {
    pod.isEvicted = true;
    pod.child.kill("SIGTERM");
  }

  /** Resolves when each replica is complete or was given up. */
  async finished(): Promise<"complete" | "failed"> {
    await Promise.all(this.#running);
    return this.#hasFailed ? "failed" : "complete";
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#signal("SIGKILL");
    await Promise.all(this.#running);
  }

  /** Ends the processes like Azure: SIGTERM, and later SIGKILL. */
  async delete(): Promise<void> {
    this.#isStopped = true;
    this.#signal("SIGTERM");
    const killing = setTimeout(() => this.#signal("SIGKILL"), endWithinMs);
    await Promise.all(this.#running);
    clearTimeout(killing);
  }

  async #run(index: number): Promise<void> {
    for (let failures = 0; !this.#isStopped && !this.#hasFailed;) {
      const pod = await this.#start(index);
      const code = await pod.ended();
      this.#exitCodes.push(code);
      const next = this.engine.after(code, pod.isEvicted);
      if (next === "complete") return;
      if (next === "count" && ++failures > this.engine.retries) this.#hasFailed = true;
      if (next === "fail") this.#fail();
    }
  }

  async #start(index: number): Promise<Pod> {
    const pod = await Pod.start(this.engine.template);
    this.#pods.set(index, pod);
    this.#allPods.push(pod);
    // It was stopped meanwhile.
    if (this.#isStopped) pod.child.kill("SIGKILL");
    return pod;
  }

  #fail(): void {
    this.#hasFailed = true;
    this.#signal("SIGTERM");
  }

  #signal(signal: NodeJS.Signals): void {
    for (const { child } of this.pods) child.kill(signal);
  }
}
