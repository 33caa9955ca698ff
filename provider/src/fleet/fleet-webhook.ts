import type { WebhookTarget } from "../inputs/inputs.js";
import { log } from "../log.js";
import { hasEnded, type MigrationState } from "../status.js";
import type { ListedMigration } from "../webhook/webhook-event.js";
import { WebhookSender } from "../webhook/webhook-sender.js";
import type { TargetReading } from "./fleet-reader.js";
import type { MigrationListItem } from "./list-overviews.js";

/** A target, or a worker, may be gone for this long before it is reported. */
const lastingMs = 30_000;
const longestError = 2000;

type Reading = TargetReading<readonly MigrationListItem[]>;

/**
 * Reports the migrations on many targets to one webhook, each change once: states, errors, lost workers and unreachable
 * targets. It sees only what the readings show, so that a state of less than their interval may be missing.
 */
export class FleetWebhook {
  readonly #sender: WebhookSender;
  #targets = new Map<string, ReportedTarget>();

  constructor(target: WebhookTarget) {
    this.#sender = new WebhookSender(target, (text) => {
      log.warn(text);
      return Promise.resolve();
    });
  }

  /** Sends what has changed since the last call. */
  observe(readings: readonly Reading[], now = Date.now()): void {
    const known = this.#targets;
    this.#targets = new Map(
      readings.map((reading) => {
        const { name } = reading.target;
        const reported = known.get(name) ?? new ReportedTarget(this.#sender);
        reported.observe(reading, now);
        return [name, reported];
      }),
    );
  }

  /** Waits up to 10 s for pending deliveries. */
  close(): Promise<void> {
    return this.#sender.close(new AbortController().signal);
  }
}

class ReportedTarget {
  readonly #absence = new LastingAbsence();
  #migrations: Map<string, ReportedMigration> | undefined;

  constructor(readonly sender: WebhookSender) {}

  observe(reading: Reading, now: number): void {
    this.#reportReachability(reading, now);
    if (reading.failure === undefined && reading.content) this.#reportMigrations(reading, reading.content, now);
  }

  #reportReachability(reading: Reading, now: number): void {
    const { target, failure, failingSince, readAt } = reading;
    // After its entry has changed, a target counts neither as reachable nor as unreachable until its first answer.
    if (failingSince === undefined && readAt === undefined) return;
    const { name, address } = target;
    const change = this.#absence.observe(failingSince, now);
    if (!change) return;
    const data = {
      target: `${address.target.host}:${address.target.port}`,
      targetName: name,
      unreachableSince: new Date(change.since).toISOString(),
      ...(failure === undefined ? {} : { error: failure.slice(0, longestError) }),
    };
    const type = change.isAbsent ? "target.unreachable" : "target.reachable";
    this.sender.send({ type, data }, `${name}: ${change.isAbsent ? "unreachable" : "reachable again"}`);
  }

  #reportMigrations({ target }: Reading, items: readonly MigrationListItem[], now: number): void {
    const known = this.#migrations;
    this.#migrations = new Map(
      items.map((item) => {
        const subject = subjectOf(target, item);
        const reported = known?.get(item.name) ?? new ReportedMigration(this.sender, known !== undefined);
        reported.observe(subject, item, now);
        return [item.name, reported];
      }),
    );
  }
}

class ReportedMigration {
  readonly #workerAbsence = new LastingAbsence();
  #lostSince: number | undefined;
  #state: string | undefined;

  /** @param isNew whether the migration was recorded after the first reading of its target */
  constructor(
    readonly sender: WebhookSender,
    readonly isNew: boolean,
  ) {}

  observe(subject: ListedMigration, item: MigrationListItem, now: number): void {
    const { state, worker } = item.currentStatus;
    if (state !== undefined) this.#reportState(subject, state, item);
    // A migration without a former worker waits for a place in a pool.
    this.#lostSince = item.hadWorker && worker?.state === "lost" ? (this.#lostSince ?? now) : undefined;
    const change = this.#workerAbsence.observe(this.#lostSince, now);
    if (!change || !worker) return;
    const about = `${subject.targetName}/${subject.migration}: worker ${worker.state}`;
    this.sender.send({ type: "migration.worker", data: { ...subject, worker: worker.state } }, about);
  }

  #reportState(subject: ListedMigration, state: MigrationState, { overview, currentStatus }: MigrationListItem): void {
    const subState = hasEnded(state) ? "Completed" : overview?.subState;
    // The migration was recorded while its target was read. The next reading has all its values.
    if (subState === undefined) return;
    const error = currentStatus.error?.slice(0, longestError);
    const current = JSON.stringify([state, subState, error]);
    if (current === this.#state) return;
    const isFirst = this.#state === undefined;
    this.#state = current;
    // Successes before the start are not reported. A failure may have happened while nothing watched.
    if (isFirst && !this.isNew && (state === "Succeeded" || state === "Canceled")) return;
    const data = { ...subject, state, subState, ...(error === undefined ? {} : { error }) };
    const about = `${subject.targetName}/${subject.migration}: ${state} / ${subState}`;
    this.sender.send({ type: "migration.state", data }, about);
  }
}

/** Reports an absence once it has lasted for 30 s, and its end. */
class LastingAbsence {
  #reportedSince: number | undefined;

  /**
   * @param since start of the absence in milliseconds since 1970; undefined while nothing is absent
   * @returns what has to be reported
   */
  observe(since: number | undefined, now: number): { readonly isAbsent: boolean; readonly since: number } | undefined {
    const reported = this.#reportedSince;
    if (since === undefined && reported !== undefined) {
      this.#reportedSince = undefined;
      return { isAbsent: false, since: reported };
    }
    if (since === undefined || reported !== undefined || now - since < lastingMs) return undefined;
    this.#reportedSince = since;
    return { isAbsent: true, since };
  }
}

const subjectOf = ({ name, address }: Reading["target"], item: MigrationListItem): ListedMigration => ({
  migration: item.name,
  // The user follows the port.
  source: item.sourceDbServerResourceId.split("@")[0]!,
  target: `${address.target.host}:${address.target.port}`,
  targetName: name,
  databases: item.dbsToMigrate,
});
