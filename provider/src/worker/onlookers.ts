import { Journal, type JournalObserver } from "../store/journal.js";
import type { Lease } from "../store/lease.js";
import type { Job } from "./job.js";
import type { RequestWatch } from "./watch-requests.js";
import { Webhook, type WebhookSubject } from "./webhook.js";

/** Who hears of a migration while it goes on, beside its records. None of them can hold it up. */
export class Onlookers {
  readonly journal: Journal;
  readonly #webhook: Webhook | undefined;

  constructor(job: Job, lease: Lease, requests: RequestWatch) {
    const observers: JournalObserver[] = [];
    this.journal = new Journal(lease, observers);
    const subject = (): WebhookSubject => ({
      migration: job.migrationName,
      source: `${job.source.host}:${job.source.port}`,
      target: `${job.target.host}:${job.target.port}`,
      databases: requests.wish.dbsToMigrate,
    });
    const warn = (text: string): Promise<void> => this.journal.event(text, { level: "warning" });
    this.#webhook = job.webhook && new Webhook(job.webhook, subject, warn);
    if (this.#webhook) observers.push(this.#webhook);
  }

  /** Lets them hear the end, which takes some seconds at most, and none once the worker is told to stop. */
  async close(stop: AbortSignal): Promise<void> {
    await this.#webhook?.close(stop);
  }
}
