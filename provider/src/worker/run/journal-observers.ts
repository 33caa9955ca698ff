import { messageOf } from "../../errors.js";
import { Journal, type JournalObserver } from "../../store/journal.js";
import type { Lease } from "../../store/lease.js";
import type { WorkerJob } from "../context/worker-job.js";
import { Traces, wantsTraces } from "../monitoring/traces.js";
import type { RequestWatch } from "../context/watch-requests.js";
import { StateWebhook } from "../monitoring/state-webhook.js";
import type { WebhookSubject } from "../../webhook/webhook-event.js";

interface ClosableObserver extends JournalObserver {
  /** Waits a few seconds for pending deliveries; not at all once `stop` aborts. */
  close(stop: AbortSignal): Promise<void>;
}

/** Observers of the journal: webhook and traces. They cannot delay the migration. */
export class JournalObservers {
  private constructor(
    readonly journal: Journal,
    readonly all: readonly ClosableObserver[],
  ) {}

  static async gather(job: WorkerJob, lease: Lease, requests: RequestWatch): Promise<JournalObservers> {
    const all: ClosableObserver[] = [];
    const journal = new Journal(lease, all);
    const subject = (): WebhookSubject => ({
      migration: job.migrationName,
      source: `${job.source.host}:${job.source.port}`,
      target: `${job.target.host}:${job.target.port}`,
      databases: requests.spec.dbsToMigrate,
    });
    const warn = (text: string): Promise<void> => journal.event(text, { level: "warning" });
    if (job.webhook) all.push(new StateWebhook(job.webhook, subject, warn));
    if (wantsTraces(process.env))
      try {
        all.push(await Traces.start(subject(), process.env));
      } catch (error) {
        await warn(`cannot export traces: ${messageOf(error)}`);
      }
    return new JournalObservers(journal, all);
  }

  async close(stop: AbortSignal): Promise<void> {
    await Promise.all(this.all.map((one) => one.close(stop)));
  }
}
