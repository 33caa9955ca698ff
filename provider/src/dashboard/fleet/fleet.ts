import { delay } from "../../async/delay.js";
import { PeriodicTask } from "../../async/periodic-task.js";
import { withTimeout } from "../../async/with-timeout.js";
import { messageOf } from "../../errors.js";
import { FleetReader, type TargetReading } from "../../fleet/fleet-reader.js";
import { FleetWebhook } from "../../fleet/fleet-webhook.js";
import { listWithOverviews, type MigrationListItem } from "../../fleet/list-overviews.js";
import type { Records } from "../../fleet/records.js";
import type { ListProblem, TargetList } from "../../fleet/target.js";
import { TargetListRefresh } from "../../fleet/target-list-refresh.js";
import type { WebhookTarget } from "../../inputs/inputs.js";
import { log } from "../../log.js";
import type { Store } from "../../store/store.js";
import type { MigrationSample, TargetSample } from "../metrics.js";
import { readStatuses } from "../read-statuses.js";

/** Shorter than the usual timeout of a scrape, 10 s. A target that does not answer must not delay the others. */
const scrapeMs = 5000;
/** For how long after a scrape the next one is expected, and the full status is read. */
const scrapedForMs = 300_000;
const scrapePauseMs = 100;
const webhookPollMs = 2000;

interface Content {
  readonly migrations: readonly MigrationListItem[];
  /** Undefined unless the metrics are scraped. */
  readonly statuses: readonly MigrationSample[] | undefined;
}

export interface FleetSource {
  /** The value of `--targets`. */
  readonly name: string;
  /** What was read at the start. */
  readonly first: TargetList;
  readonly readTargets: () => Promise<TargetList>;
  /** Receives what changes on the targets, which are then read every two seconds. */
  readonly webhook?: WebhookTarget | undefined;
}

/** The targets of a list, and what is known of them. Without a webhook, it reads only when a caller polls. */
export class Fleet {
  /** The wrong entries of the list. */
  problems: readonly ListProblem[];
  /** Why the list could not be read again; empty if it could. The former targets stay. */
  listFailure = "";
  readonly #reader: FleetReader<Content>;
  readonly #list: TargetListRefresh;
  #scrapedAt = -Infinity;
  readonly #webhook: FleetWebhook | undefined;
  readonly #watch: PeriodicTask | undefined;

  /** @param onTargets called after the targets were replaced */
  constructor(
    readonly source: FleetSource,
    readonly onTargets: () => void,
  ) {
    this.problems = source.first.problems;
    this.#reader = new FleetReader(source.first.targets, (store) => this.#read(store), "dashboard");
    this.#list = new TargetListRefresh(
      {
        readTargets: source.readTargets,
        reader: this.#reader,
        onRead: ({ problems }) => {
          this.problems = problems;
          this.listFailure = "";
          this.onTargets();
        },
        onFailure: (error) => (this.listFailure = messageOf(error)),
      },
      { isRead: true },
    );
    if (!source.webhook) return;
    const webhook = (this.#webhook = new FleetWebhook(source.webhook));
    this.#watch = new PeriodicTask({
      everyMs: webhookPollMs,
      run: () => {
        // A target that does not answer must not delay what is reported of the others.
        void this.poll();
        webhook.observe(this.readings);
        return Promise.resolve();
      },
      onFailure: (error) => log.error(`the webhook ended: ${messageOf(error)}`),
    });
  }

  get readings(): readonly TargetReading<readonly MigrationListItem[]>[] {
    return this.#reader.readings.map((reading) => ({ ...reading, content: reading.content?.migrations }));
  }

  recordsOf(target: string): Records | undefined {
    return this.#reader.recordsOf(target);
  }

  /** Reads everything that is due. Never rejects, and waits for the slowest target. */
  async poll(): Promise<void> {
    void this.#list.ifDue();
    await this.#reader.poll();
  }

  /** The metrics after at most 5 s: only of targets that could be read. */
  async scrape(): Promise<{
    readonly migrations: readonly MigrationSample[];
    readonly targets: readonly TargetSample[];
  }> {
    this.#scrapedAt = Date.now();
    const deadline = Date.now() + scrapeMs;
    const isComplete = (): boolean =>
      this.#reader.readings.every(({ content, failure }) => failure !== undefined || content?.statuses !== undefined);
    for (;;) {
      await withTimeout(this.poll(), deadline - Date.now());
      if (isComplete() || Date.now() >= deadline) break;
      await delay(scrapePauseMs);
    }
    const current = this.#reader.readings.map((reading) => ({
      target: reading.target.name,
      content: reading.failure === undefined ? reading.content : undefined,
    }));
    return {
      targets: current.map(({ target, content }) => ({ target, isUp: content !== undefined })),
      migrations: current.flatMap(({ target, content }) =>
        (content?.statuses ?? []).map((one) => ({ ...one, target })),
      ),
    };
  }

  async close(): Promise<void> {
    await this.#watch?.close();
    await this.#webhook?.close();
    await this.#reader.close();
  }

  async #read(store: Store | undefined): Promise<Content> {
    const isScraped = Date.now() - this.#scrapedAt < scrapedForMs;
    if (!store) return { migrations: [], statuses: isScraped ? [] : undefined };
    const migrations = await listWithOverviews(store);
    return { migrations, statuses: isScraped ? await readStatuses(store) : undefined };
  }
}
