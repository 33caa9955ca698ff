import type { WebhookTarget } from "../../inputs/inputs.js";
import { ChangeReporter } from "../../log.js";
import type { MigrationState, MigrationSubState } from "../../status.js";
import type { JournalObserver } from "../../store/journal.js";
import type { WebhookSubject } from "../../webhook/webhook-event.js";
import { WebhookSender } from "../../webhook/webhook-sender.js";

/** Reports the changes of a migration's state to its webhook. */
export class StateWebhook implements JournalObserver {
  readonly #sender: WebhookSender;
  readonly #changes = new ChangeReporter();

  /** @param onFailure as of {@link WebhookSender} */
  constructor(
    target: WebhookTarget,
    readonly subject: () => WebhookSubject,
    onFailure: (text: string) => Promise<void>,
  ) {
    this.#sender = new WebhookSender(target, onFailure);
  }

  state(state: MigrationState, subState: MigrationSubState, error: string | undefined): void {
    const about = `${state} / ${subState}`;
    if (!this.#changes.isNew(`${about}: ${error ?? ""}`)) return;
    const data = { ...this.subject(), state, subState, ...(error === undefined ? {} : { error }) };
    this.#sender.send({ type: "migration.state", data }, about);
  }

  close(stop: AbortSignal): Promise<void> {
    return this.#sender.close(stop);
  }
}
