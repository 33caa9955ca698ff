import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { list, type Properties, text } from "./properties";

/** An image, whose entry point is a program of this machine. */
export interface Image {
  readonly entrypoint: readonly [program: string, ...given: string[]];
  /** Arguments of the entry point if the container sets none. */
  readonly command: readonly string[];
  readonly directory: string;
}

/** The unprivileged user 65534, like the user of the image. Only root can change the user. */
const unprivileged = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {};

/** Delay before a failed container restarts. Azure's is longer. */
const restartAfterMs = 500;
const endWithinMs = 20_000;

/** A container group with restart policy OnFailure: its container's process runs on this machine. */
export class RunningContainer {
  #child: ChildProcess | undefined;
  #isDeleted = false;
  #ended: Promise<void> | undefined;
  /** All processes so far. The last one is running or succeeded. */
  readonly processIds: number[] = [];
  /** The output of `az container logs`. */
  log = "";

  private constructor(
    readonly image: Image,
    readonly environment: Readonly<Record<string, string>>,
  ) {}

  static start(inputs: Properties, image: Image): RunningContainer {
    const variables = list(inputs, "containers.0.environmentVariables").map((variable): [string, string] => [
      text(variable, "name"),
      text(variable, "secureValue") || text(variable, "value"),
    ]);
    const container = new RunningContainer(image, Object.fromEntries(variables));
    container.#ended = container.#run();
    return container;
  }

  async delete(): Promise<void> {
    this.#isDeleted = true;
    this.#child?.kill("SIGTERM");
    const killing = setTimeout(() => this.#child?.kill("SIGKILL"), endWithinMs);
    await this.#ended;
    clearTimeout(killing);
  }

  async #run(): Promise<void> {
    const [program, ...given] = [...this.image.entrypoint, ...this.image.command];
    while (!this.#isDeleted) {
      const child = spawn(program, given, {
        cwd: this.image.directory,
        env: { PATH: process.env.PATH, ...this.environment },
        stdio: ["ignore", "pipe", "pipe"],
        ...unprivileged,
      });
      this.#child = child;
      if (child.pid !== undefined) this.processIds.push(child.pid);
      for (const stream of [child.stdout, child.stderr])
        stream.on("data", (chunk: Buffer) => (this.log += chunk.toString()));
      const [code] = (await once(child, "exit")) as [number | null];
      if (code === 0) return;
      await sleep(restartAfterMs);
    }
  }
}
