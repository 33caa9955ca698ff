import { readdirSync, readFileSync } from "node:fs";

/** A process as /proc shows it. */
export interface ProcessSample {
  readonly pid: number;
  readonly parent: number;
  /** Since the start of the machine. With the process ID, it identifies a process. */
  readonly startTicks: number;
  /** The CPU time of all threads. */
  readonly cpuSeconds: number;
  /** The CPU time of children that have ended, including that of their children. */
  readonly endedChildrenCpuSeconds: number;
  readonly rssBytes: number;
}

/** Clock ticks per second in /proc/<pid>/stat: USER_HZ, 100 on every Linux. */
const ticksPerSecond = 100;
const pageBytes = 4096;

export const processIds = (): number[] => readdirSync("/proc").map(Number).filter(Number.isInteger);

/** The process (proc_pid_stat(5)); undefined if it has ended. Linux only. */
export function readProcess(pid: number): ProcessSample | undefined {
  const stat = readIfAlive(`/proc/${pid}/stat`);
  return stat === undefined ? undefined : parseStat(pid, stat);
}

/** The fields are numbered as in the manual, which counts the process ID and the name as 1 and 2. */
export function parseStat(pid: number, stat: string): ProcessSample {
  // The name, in parentheses, may contain spaces.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const field = (number: number): number => Number(fields[number - 3]);
  return {
    pid,
    parent: field(4),
    cpuSeconds: (field(14) + field(15)) / ticksPerSecond,
    endedChildrenCpuSeconds: (field(16) + field(17)) / ticksPerSecond,
    startTicks: field(22),
    rssBytes: field(24) * pageBytes,
  };
}

/**
 * What a process does, without the parts that differ between processes of the same kind. A session of a server is named
 * after its command. Another process of a server is named after its task, and any other process after its program.
 *
 * @example activityOf("postgres: postgres shop 127.0.0.1(40114) COPY") // "session: COPY"
 */
export function activityOf(commandLine: string): string {
  const server = /^postgres: ([^\0]*)/.exec(commandLine)?.[1];
  if (server !== undefined) {
    const session = /^(walsender )?\S+ .*?(?:\S+\(\d+\)|\[local\]) (.+)$/.exec(server);
    if (session) return `${session[1] ? "walsender" : "session"}: ${session[2]!.trim()}`;
    return server.replace(/ for .*| \d+.*/, "").trim();
  }
  const [program = "", ...args] = commandLine.split("\0");
  const script = args.find((arg) => !arg.startsWith("--")) ?? "";
  const isScript = /(^|\/)node$/.test(program) && !script.startsWith("-");
  // pgcopydb writes its task after a colon.
  return (isScript ? script : program).replace(/:.*$/s, "").replace(/^.*\//, "");
}

/** {@link activityOf} a process now; undefined if it has ended. */
export function currentActivity(pid: number): string | undefined {
  const commandLine = readIfAlive(`/proc/${pid}/cmdline`);
  return commandLine ? activityOf(commandLine) : undefined;
}

function readIfAlive(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ESRCH") return undefined;
    throw error;
  }
}
