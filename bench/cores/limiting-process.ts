/** The CPU time of a process, or of all, during a measurement. */
export interface BusyProcess {
  /** The role and the activity: `target, session: COPY`. */
  readonly name: string;
  readonly cpuSeconds: number;
  /** The CPU time that it may use per second. */
  readonly quotaCores: number;
}

/** What was closest to using its whole quota all the time. */
export interface Limiting {
  readonly name: string;
  /** The part of its quota that it used: 1 means that the measurement could not have been shorter without more CPU for it. */
  readonly busy: number;
}

/** The process whose CPU time, divided by its quota, is closest to the elapsed time. */
export function limitingProcess(processes: readonly BusyProcess[], elapsedSeconds: number): Limiting {
  const busy = processes.map(({ name, cpuSeconds, quotaCores }) => ({
    name,
    busy: cpuSeconds / quotaCores / elapsedSeconds,
  }));
  return busy.reduce((most, next) => (next.busy > most.busy ? next : most), { name: "none", busy: 0 });
}
