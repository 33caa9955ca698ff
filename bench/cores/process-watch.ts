import { availableParallelism } from "node:os";
import type { ProcessQuotas } from "./cgroups";
import { type BusyProcess, type Limiting, limitingProcess } from "./limiting-process";
import { currentActivity, type ProcessSample, processIds, readProcess } from "./processes";

/** The processes of the two servers, and those that this process starts: a worker, or the processes of another tool. */
export type Role = "source" | "worker" | "target";

/** What the processes used during a measurement. */
export interface Usage {
  readonly seconds: number;
  readonly cpuSeconds: Readonly<Record<Role, number>>;
  /** The largest memory of the worker's processes at one time. Pages that they share count for each of them. */
  readonly workerRssBytes: number;
  readonly limiting: Limiting;
}

interface Watched {
  readonly role: Role;
  sample: ProcessSample;
  /** The CPU time before the measurement. */
  cpuSecondsBefore: number;
  /** CPU seconds by activity, because a session changes its activity. */
  readonly activities: Map<string, number>;
}

export interface WatchOptions {
  /** The process IDs of the postmasters. */
  readonly source: number;
  readonly target: number;
  /** Gives each process a quota of its own. */
  readonly quotas?: ProcessQuotas | undefined;
  /** In cores. Without quotas, a process with one thread cannot use more than one core. */
  readonly quotaCores: number;
}

/** A new process must get its quota before it has used much of its parent's. */
const pollMs = { withQuotas: 10, withoutQuotas: 50 };

/**
 * Watches the processes of the servers, and all processes that this process starts. It finds them by polling /proc, so that
 * it sees the children of any tool. A process that lives shorter than an interval counts for its role, but gets no quota.
 */
export class ProcessWatch {
  readonly #options: WatchOptions;
  readonly #processes = new Map<number, Watched>();
  /** Ended since the measurement started. */
  readonly #ended: Watched[] = [];
  /** Processes that belong to no role. */
  readonly #others = new Set<number>();
  readonly #timer: NodeJS.Timeout;
  readonly #killAtExit = (): void => this.#killTools();
  #startedAt = 0;
  #before = noCpu();
  #workerRssBytes = 0;

  constructor(options: WatchOptions) {
    this.#options = options;
    this.#others.add(process.pid);
    const roots = { source: options.source, target: options.target };
    for (const pid of processIds()) if (readProcess(pid)?.parent === process.pid) this.#others.add(pid);
    for (const role of ["source", "target"] as const) {
      this.#others.delete(roots[role]);
      this.#add(readProcess(roots[role])!, role);
    }
    this.#poll();
    this.start();
    this.#timer = setInterval(() => this.#poll(), options.quotas ? pollMs.withQuotas : pollMs.withoutQuotas);
    process.prependListener("exit", this.#killAtExit);
  }

  /** Starts the measurement. What was used before does not count. */
  start(): void {
    this.#ended.length = 0;
    for (const watched of this.#processes.values()) {
      watched.cpuSecondsBefore = (readProcess(watched.sample.pid) ?? watched.sample).cpuSeconds;
      watched.activities.clear();
    }
    this.#workerRssBytes = 0;
    this.#before = this.#cpuSeconds();
    this.#startedAt = performance.now();
  }

  /** Ends the measurement. */
  end(): Usage {
    const seconds = (performance.now() - this.#startedAt) / 1000;
    this.#poll();
    const after = this.#cpuSeconds();
    const used = (role: Role | "bench"): number => Math.max(0, after[role] - this.#before[role]);
    const cpuSeconds = { source: used("source"), worker: used("worker"), target: used("target") };
    const all = cpuSeconds.source + cpuSeconds.worker + cpuSeconds.target + used("bench");
    const cores = availableParallelism();
    const busy = [
      ...[...this.#processes.values(), ...this.#ended].map((watched) => this.#busyProcess(watched)),
      { name: `all ${cores} cores of the machine`, cpuSeconds: all, quotaCores: cores },
    ];
    return { seconds, cpuSeconds, workerRssBytes: this.#workerRssBytes, limiting: limitingProcess(busy, seconds) };
  }

  /** Ends the watch and the quotas. */
  stop(): void {
    clearInterval(this.#timer);
    process.off("exit", this.#killAtExit);
    for (const pid of this.#processes.keys()) this.#options.quotas?.release(pid);
  }

  /** Processes of tools would outlive this process, because workers have their own process session. */
  #killTools(): void {
    for (const { role, sample } of this.#processes.values())
      if (role === "worker" && readProcess(sample.pid)?.startTicks === sample.startTicks)
        process.kill(sample.pid, "SIGKILL");
  }

  #poll(): void {
    const present = new Set(processIds());
    for (const pid of this.#others) if (!present.has(pid)) this.#others.delete(pid);
    for (const watched of this.#processes.values()) this.#update(watched);
    // In ascending order, a parent precedes its children.
    for (const pid of present) {
      if (this.#processes.has(pid) || this.#others.has(pid)) continue;
      const sample = readProcess(pid);
      if (!sample) continue;
      const role = this.#roleOfChild(sample.parent);
      if (role) this.#add(sample, role);
      else this.#others.add(pid);
    }
    let rssBytes = 0;
    for (const { role, sample } of this.#processes.values()) if (role === "worker") rssBytes += sample.rssBytes;
    this.#workerRssBytes = Math.max(this.#workerRssBytes, rssBytes);
  }

  #roleOfChild(parent: number): Role | undefined {
    return parent === process.pid ? "worker" : this.#processes.get(parent)?.role;
  }

  #add(sample: ProcessSample, role: Role): void {
    this.#processes.set(sample.pid, { role, sample, cpuSecondsBefore: 0, activities: new Map() });
    this.#options.quotas?.limit(sample.pid);
  }

  #update(watched: Watched): void {
    const { pid, startTicks, cpuSeconds } = watched.sample;
    const sample = readProcess(pid);
    if (sample?.startTicks !== startTicks) {
      this.#processes.delete(pid);
      this.#ended.push(watched);
      this.#options.quotas?.release(pid);
      return;
    }
    watched.sample = sample;
    const used = sample.cpuSeconds - cpuSeconds;
    if (used === 0) return;
    const activity = currentActivity(pid);
    if (activity !== undefined) watched.activities.set(activity, (watched.activities.get(activity) ?? 0) + used);
  }

  #busyProcess({ role, sample, cpuSecondsBefore, activities }: Watched): BusyProcess {
    const [activity = "a process"] = [...activities].sort(([, one], [, other]) => other - one)[0] ?? [];
    return {
      name: `${role}, ${activity}`,
      cpuSeconds: sample.cpuSeconds - cpuSecondsBefore,
      quotaCores: this.#options.quotaCores,
    };
  }

  /** The CPU time so far. A parent has the time of its ended children, so that none is missing. */
  #cpuSeconds(): Record<Role | "bench", number> {
    const sum = noCpu();
    const own = readProcess(process.pid)!;
    sum.bench = own.cpuSeconds;
    sum.worker = own.endedChildrenCpuSeconds;
    for (const { role, sample } of this.#processes.values()) {
      const now = readProcess(sample.pid);
      if (now) sum[role] += now.cpuSeconds + now.endedChildrenCpuSeconds;
    }
    return sum;
  }
}

const noCpu = (): Record<Role | "bench", number> => ({ source: 0, worker: 0, target: 0, bench: 0 });
