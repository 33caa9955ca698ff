import type { EmbeddedServer } from "../../test/support/servers/embedded-server";
import { findCgroups, ProcessQuotas } from "./cgroups";
import { ProcessWatch, type Usage } from "./process-watch";

/** `shared`: all processes share the cores of this machine. `each`: each process has a quota of its own. */
export type Cores = "shared" | "each";

/** The two servers of a measurement. */
export interface Servers {
  readonly source: EmbeddedServer;
  readonly target: EmbeddedServer;
}

/** Measures contenders, with the same CPU time for each. */
export class Measurement {
  readonly #quotas: ProcessQuotas | undefined;
  readonly #quotaCores: number;

  /**
   * @param quotaCores the quota of each process for `each`
   * @throws CgroupsNotWritable if the quotas are not possible here
   */
  constructor(cores: Cores, quotaCores: number) {
    this.#quotas = cores === "each" ? new ProcessQuotas(findCgroups(), quotaCores) : undefined;
    this.#quotaCores = cores === "each" ? quotaCores : 1;
  }

  /**
   * Watches the servers' processes and those that `action` starts. The quotas apply from its start to its end.
   *
   * @param action calls `start` if the measured part starts later, and returns the result of `end`
   */
  async watch<Result>({ source, target }: Servers, action: (watch: ProcessWatch) => Promise<Result>): Promise<Result> {
    const watch = new ProcessWatch({
      source: source.processId!,
      target: target.processId!,
      quotas: this.#quotas,
      quotaCores: this.#quotaCores,
    });
    try {
      return await action(watch);
    } finally {
      watch.stop();
    }
  }

  /** Measures the whole of `action`. */
  run(servers: Servers, action: () => Promise<void>): Promise<Usage> {
    return this.watch(servers, async (watch) => {
      await action();
      return watch.end();
    });
  }

  close(): void {
    this.#quotas?.close();
  }
}
