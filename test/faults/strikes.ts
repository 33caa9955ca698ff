import { setTimeout as sleep } from "node:timers/promises";
import type { CuttableProxy } from "../cdc/cuttable-proxy";
import type { EmbeddedServer } from "../support/servers/embedded-server";
import { isAlive } from "../support/is-alive";
import type { Lab } from "../support/lab";
import type { Seeded } from "../support/seeded";

export type Fault =
  | "kill"
  | "killBeforeConfirmation"
  | "freeze"
  | "endSourceSession"
  | "endTargetSession"
  | "cutSource"
  | "cutTarget"
  | "restartSource"
  | "restartTarget";
const faults: readonly Fault[] = [
  ...(["kill", "kill", "kill", "kill", "kill", "kill", "killBeforeConfirmation", "killBeforeConfirmation"] as const),
  ...(["killBeforeConfirmation", "cutSource", "cutTarget", "restartSource", "restartTarget"] as const),
  ...(["freeze", "endSourceSession", "endTargetSession"] as const),
];

/** The message or phase that the worker records, or `any`. */
export type Moment = string;

/** The moment may pass unnoticed, or never occur. */
const waitForMomentMs = 5_000;
const waitForWorkerMs = 300_000;
const longestAfterMs = 400;

interface Worker {
  readonly pid: number;
  readonly doing: Moment;
}

/** Faults of one migration: they concern its workers, its connections and both servers. */
export class Strikes {
  /** Number of faults by kind and moment. */
  readonly seen = new Map<string, number>();
  kills = 0;
  /** Number of server crashes. A crash advances sequences past their last returned value. */
  crashes = 0;

  constructor(
    readonly lab: Lab,
    readonly random: Seeded,
    readonly migration: string,
    readonly proxies: { readonly toSource: CuttableProxy; readonly toTarget: CuttableProxy },
  ) {}

  describe(): string {
    return describeFaults(this.seen);
  }

  /** Causes faults until the goal is reached or `most` workers were killed. */
  async during<T>(goal: Promise<T>, most: number, moments: readonly Moment[]): Promise<T> {
    const state = { isReached: false };
    const reached = goal.finally(() => (state.isReached = true));
    // Prevents an unhandled rejection until it is awaited below.
    reached.catch(() => undefined);
    const last = this.kills + most;
    while (this.kills < last && !state.isReached) await this.strike(this.random.pick(moments), () => state.isReached);
    return reached;
  }

  /** Causes faults until `kills` workers were killed. */
  async times(kills: number, moments: readonly Moment[]): Promise<void> {
    for (const last = this.kills + kills; this.kills < last;) await this.strike(this.random.pick(moments));
  }

  /** Causes one fault, at a moment or soon after it. */
  async strike(moment: Moment, isOver: () => boolean = () => false): Promise<void> {
    const { random } = this;
    if (moment === "any") await sleep(random.below(1500));
    const worker = await this.#worker(moment, isOver);
    if (moment !== "any" && worker.doing === moment) await sleep(random.below(longestAfterMs));
    if (isOver()) return;
    // The worker may have reached another moment by now.
    await this.#do(random.pick(faults), (await this.#look()) ?? worker);
  }

  /** Stops the worker, runs `meanwhile`, and kills the worker. */
  async killFrozen(meanwhile: () => Promise<void>): Promise<void> {
    const worker = await this.#worker("any", () => false);
    signal(worker.pid, "SIGSTOP");
    await meanwhile();
    this.#kill(worker, "kill frozen");
  }

  async #do(fault: Fault, worker: Worker): Promise<void> {
    if (fault === "killBeforeConfirmation") {
      // Changes committed from now on are not confirmed to the server that sent them.
      (isRollingBack(worker) ? this.proxies.toTarget : this.proxies.toSource).holdBackWords();
      await sleep(this.random.below(500));
    }
    if (fault === "kill" || fault === "killBeforeConfirmation") this.#kill(worker, fault);
    else await this.#disturb(fault, worker);
  }

  async #disturb(fault: Exclude<Fault, "kill" | "killBeforeConfirmation">, { pid, doing }: Worker): Promise<void> {
    const { lab, random } = this;
    const mode = random.oneIn(2) ? "fast" : "immediate";
    this.#note(`${fault} (${doing})`);
    if (fault.startsWith("restart") && mode === "immediate") this.crashes++;
    switch (fault) {
      case "cutSource":
        this.proxies.toSource.cut();
        break;
      case "cutTarget":
        this.proxies.toTarget.cut();
        break;
      case "restartSource":
        await lab.source.restart(mode);
        break;
      case "restartTarget":
        await lab.target.restart(mode);
        break;
      case "endSourceSession":
        await endOneSession(lab.source, random);
        break;
      case "endTargetSession":
        await endOneSession(lab.target, random);
        break;
      case "freeze":
        signal(pid, "SIGSTOP");
        await sleep(random.below(3000));
        signal(pid, "SIGCONT");
    }
  }

  #kill(worker: Worker, how: string): void {
    const { pid, doing } = worker;
    if (isAlive(pid)) {
      signal(pid, "SIGKILL");
      this.kills++;
      this.#note(`${how} (${doing})`);
    }
    for (const proxy of [this.proxies.toSource, ...(isRollingBack(worker) ? [this.proxies.toTarget] : [])]) proxy.cut();
  }

  #note(what: string): void {
    this.seen.set(what, (this.seen.get(what) ?? 0) + 1);
  }

  /** Waits for a live worker, and for the moment if it occurs in time. */
  async #worker(moment: Moment, isOver: () => boolean): Promise<Worker> {
    const startedAt = Date.now();
    for (;;) {
      const waitedMs = Date.now() - startedAt;
      const worker = await this.#look();
      if (worker && isAlive(worker.pid)) {
        const isIt = moment === "any" || worker.doing === moment;
        if (isIt || isOver() || waitedMs > waitForMomentMs) return worker;
      } else if (isOver()) return { pid: NaN, doing: "ended" };
      else if (waitedMs > waitForWorkerMs)
        throw new Error(`no worker of ${this.migration} was running at ${moment} for ${waitForWorkerMs / 1000} s`);
      await sleep(10);
    }
  }

  async #look(): Promise<Worker | undefined> {
    const [row] = await this.lab.target
      .query<{ pid: number | null; doing: string; isStreaming: boolean }>(
        `SELECT (m.worker ->> 'pid')::int AS pid, d.phase = 'following' AND d.message IS DISTINCT FROM 'cutting over' AS "isStreaming",
                CASE WHEN d.message IS NOT NULL THEN d.message
                     WHEN d.verification ->> 'state' = 'running' AND d.phase = 'following' THEN 'verifying'
                     WHEN d.rollback_replication ->> 'state' = 'returning' AND d.phase = 'rollingBack' THEN 'returning'
                     ELSE d.phase END AS doing
           FROM pgmigration.migration m JOIN pgmigration.database d ON d.migration = m.name WHERE m.name = $1`,
        { values: [this.migration] },
      )
      .catch(() => []);
    if (!row?.pid) return undefined;
    const isReading = row.isStreaming && (await this.#readsBacklog());
    return { pid: row.pid, doing: isReading ? "reading its backlog" : row.doing };
  }

  async #readsBacklog(): Promise<boolean> {
    const slots = "SELECT FROM pg_replication_slots WHERE slot_name ~ '_read$'";
    const rows = await this.lab.source.query(slots).catch(() => []);
    return rows.length > 0;
  }
}

export const describeFaults = (seen: ReadonlyMap<string, number>): string =>
  [...seen]
    .sort()
    .map(([what, times]) => `${times} × ${what}`)
    .join(", ");

const isRollingBack = ({ doing }: Worker): boolean => doing === "rollingBack" || doing === "returning";

/** Terminates one random session of the migration, as an administrator or a server without memory would. */
async function endOneSession(server: EmbeddedServer, random: Seeded): Promise<void> {
  const rows = await server
    .query<{ pid: number }>(
      "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'pg-migration %' ORDER BY pid",
    )
    .catch(() => []);
  if (rows.length === 0) return;
  await server.query("SELECT pg_terminate_backend($1)", { values: [random.pick(rows).pid] }).catch(() => undefined);
}

/** A worker may have ended by itself at that moment. */
function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as { code?: string }).code !== "ESRCH") throw error;
  }
}
