import { readFile } from "node:fs/promises";

export interface Usage {
  cpuSeconds: number;
  maxRssBytes: number;
}

/** Clock ticks per second in /proc/<pid>/stat: USER_HZ, 100 on every Linux. */
const ticksPerSecond = 100;

/** The usage of a process so far (proc(5): utime, stime, VmHWM); undefined if it has ended. Linux only. */
export async function usageOf(pid: number): Promise<Usage | undefined> {
  try {
    const [stat, status] = await Promise.all([
      readFile(`/proc/${pid}/stat`, "utf8"),
      readFile(`/proc/${pid}/status`, "utf8"),
    ]);
    // The name, in parentheses, may contain spaces. utime is the 12th field after it.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const peak = /^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1];
    if (peak === undefined) return undefined;
    return {
      cpuSeconds: (Number(fields[11]) + Number(fields[12])) / ticksPerSecond,
      maxRssBytes: Number(peak) * 1024,
    };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT" || (error as NodeJS.ErrnoException).code === "ESRCH")
      return undefined;
    throw error;
  }
}
