import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { dirname, join, posix } from "node:path";

/** Control groups cannot give processes their own quotas here. The message states why, and what to do. */
export class CgroupsNotWritable extends Error {}

/** Where the groups of single processes are created. */
export interface CgroupPlace {
  readonly version: 1 | 2;
  /** The group of this process, to which all processes return. */
  readonly home: string;
  /** The group in which new groups are created. */
  readonly parent: string;
}

/** The period of a quota. A short one resembles a slow core. A long one resembles a fast core that pauses. */
const periodUs = 10_000;
/** The kernel refuses a quota of less than 1 ms per period. */
export const minQuotaCores = 0.1;

interface Mount {
  readonly root: string;
  readonly point: string;
  readonly type: string;
  readonly options: readonly string[];
}

/** Lines of /proc/self/mountinfo: proc_pid_mountinfo(5). Optional fields end with a hyphen. */
const parseMounts = (mountinfo: string): Mount[] =>
  mountinfo
    .trim()
    .split("\n")
    .map((line) => {
      const fields = line.split(" ");
      const end = fields.indexOf("-");
      return { root: fields[3]!, point: fields[4]!, type: fields[end + 1]!, options: fields[end + 3]!.split(",") };
    });

/** The group of this process in a hierarchy. A line of /proc/self/cgroup is `id:controllers:path`: cgroups(7). */
function groupIn(mount: Mount, root: string, isHierarchy: (controllers: string) => boolean): string {
  const lines = read(join(root, "proc/self/cgroup")).trim().split("\n");
  const path = lines
    .map((line) => /^\d+:([^:]*):(.*)$/.exec(line)!)
    .find(([, controllers]) => isHierarchy(controllers!))?.[2];
  return join(root, mount.point, posix.relative(mount.root, path ?? mount.root));
}

/**
 * Finds the hierarchy of control groups that has the CPU controller.
 *
 * @param root a folder that contains `proc` and the mount points
 * @throws CgroupsNotWritable
 */
export function findCgroups(root = "/"): CgroupPlace {
  const mounts = parseMounts(read(join(root, "proc/self/mountinfo")));
  const unified = mounts.find(
    ({ type, point }) => type === "cgroup2" && hasCpu(read(join(root, point, "cgroup.controllers"))),
  );
  if (unified) {
    const home = groupIn(unified, root, (controllers) => controllers === "");
    return { version: 2, home, parent: parentInUnified(home, join(root, unified.point)) };
  }
  const own = mounts.find(({ type, options }) => type === "cgroup" && options.includes("cpu"));
  if (!own) throw new CgroupsNotWritable("no hierarchy of control groups with the CPU controller is mounted");
  const home = groupIn(own, root, (controllers) => controllers.split(",").includes("cpu"));
  return { version: 1, home, parent: home };
}

/**
 * A group below which processes may be placed. Only the root of the hierarchy may contain both processes and groups with
 * controllers (cgroup-v2.rst, "No Internal Process Constraint"). Only the root has no file cgroup.type.
 */
function parentInUnified(home: string, top: string): string {
  for (let group = home; ; group = dirname(group)) {
    const isRoot = read(join(group, "cgroup.type")) === "";
    const isFree = isRoot || read(join(group, "cgroup.procs")).trim() === "";
    if (isFree && hasCpu(read(join(group, "cgroup.controllers")))) return group;
    if (group === top || group === dirname(group))
      throw new CgroupsNotWritable(
        `each control group from ${home} up to ${top} contains processes or lacks the CPU controller: run the benchmark outside of the container, as root`,
      );
  }
}

const hasCpu = (controllers: string): boolean => controllers.trim().split(/\s+/).includes("cpu");

/** The content of a file; empty if it does not exist. */
function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "";
    throw error;
  }
}

/**
 * Gives single processes a quota of CPU time each. The threads of a process share its quota. A new child shares its parent's
 * quota until it has its own.
 */
export class ProcessQuotas {
  readonly #place: CgroupPlace;
  readonly #quotaUs: number;
  readonly #top: string;
  readonly #removeDirectory: (path: string) => void;
  readonly #groups = new Set<number>();
  #closed = false;
  readonly #closeAtExit = (): void => this.close();

  /**
   * @param quotaCores the quota of each process, in cores
   * @param removeDirectory tests replace it, because only the kernel removes a group together with its files
   * @throws CgroupsNotWritable
   */
  constructor(place: CgroupPlace, quotaCores: number, removeDirectory: (path: string) => void = rmdirSync) {
    this.#place = place;
    this.#quotaUs = Math.round(quotaCores * periodUs);
    this.#top = join(place.parent, `pg-migration-bench-${process.pid}`);
    this.#removeDirectory = removeDirectory;
    try {
      if (place.version === 2) enableCpu(place.parent);
      mkdirSync(this.#top);
      if (place.version === 2) enableCpu(this.#top);
    } catch (cause) {
      throw new CgroupsNotWritable(
        `the control group ${place.parent} is not writable (${(cause as Error).message}): run the benchmark as root`,
        { cause },
      );
    }
    // Before other listeners: without a quota, servers stop quickly.
    process.prependListener("exit", this.#closeAtExit);
  }

  /** Gives a process its own quota, unless it has ended. */
  limit(pid: number): void {
    const group = this.#groupOf(pid);
    mkdirSync(group);
    this.#groups.add(pid);
    if (this.#place.version === 2) writeFileSync(join(group, "cpu.max"), `${this.#quotaUs} ${periodUs}`);
    else {
      writeFileSync(join(group, "cpu.cfs_period_us"), String(periodUs));
      writeFileSync(join(group, "cpu.cfs_quota_us"), String(this.#quotaUs));
    }
    move(pid, group);
  }

  /** Removes the group of a process that has ended. Its children return to the group of this process. */
  release(pid: number): void {
    if (this.#groups.delete(pid)) this.#remove(this.#groupOf(pid));
  }

  /** Ends all quotas, and removes the groups. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const pid of this.#groups) this.release(pid);
    this.#remove(this.#top);
    process.off("exit", this.#closeAtExit);
  }

  #groupOf(pid: number): string {
    return join(this.#top, String(pid));
  }

  #remove(group: string): void {
    for (;;) {
      const pids = read(join(group, "cgroup.procs")).split("\n").filter(Boolean);
      for (const pid of pids) move(Number(pid), this.#place.home);
      try {
        this.#removeDirectory(group);
        return;
      } catch (error) {
        // A process may have forked since.
        if ((error as NodeJS.ErrnoException).code !== "EBUSY") throw error;
      }
    }
  }
}

function enableCpu(group: string): void {
  const control = join(group, "cgroup.subtree_control");
  if (!hasCpu(read(control))) writeFileSync(control, "+cpu");
}

function move(pid: number, group: string): void {
  try {
    writeFileSync(join(group, "cgroup.procs"), String(pid));
  } catch (error) {
    // The process has ended.
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}
