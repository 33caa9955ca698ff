import { messageOf } from "../../errors.js";
import { Journal, type JournalObserver } from "../../store/journal.js";
import type { Lease } from "../../store/lease.js";
import type { Job } from "../context/worker-job.js";
import { Traces, wantsTraces } from "../monitoring/traces.js";
import type { RequestWatch } from "../context/watch-requests.js";
import { Webhook, type WebhookSubject } from "../monitoring/webhook.js";

interface Onlooker extends JournalObserver {
  /** Lets it hear the end, which takes some seconds at most, and none once the worker is told to stop. */
  close(stop: AbortSignal): Promise<void>;
}

/** Who hears of a migration while it goes on, beside its records. None of them can hold it up. */
export class Onlookers {
  private constructor(
    readonly journal: Journal,
    readonly all: readonly Onlooker[],
  ) {}

  static async gather(job: Job, lease: Lease, requests: RequestWatch): Promise<Onlookers> {
    const all: Onlooker[] = [];
    const journal = new Journal(lease, all);
    const subject = (): WebhookSubject => ({
      migration: job.migrationName,
      source: `${job.source.host}:${job.source.port}`,
      target: `${job.target.host}:${job.target.port}`,
      databases: requests.wish.dbsToMigrate,
    });
    const warn = (text: string): Promise<void> => journal.event(text, { level: "warning" });
    if (job.webhook) all.push(new Webhook(job.webhook, subject, warn));
    if (wantsTraces(process.env))
      try {
        all.push(await Traces.start(subject(), process.env));
      } catch (error) {
        await warn(`there are no traces: ${messageOf(error)}`);
      }
    return new Onlookers(journal, all);
  }

  async close(stop: AbortSignal): Promise<void> {
    await Promise.all(this.all.map((one) => one.close(stop)));
  }
}
