import { createHmac, randomUUID } from "node:crypto";
import { engineVersion } from "../../engine-version.js";
import { messageOf } from "../../errors.js";
import type { WebhookTarget } from "../../inputs/inputs.js";
import type { MigrationState, MigrationSubState } from "../../status.js";
import type { JournalObserver } from "../../store/journal.js";
import { delay } from "../../async/delay.js";

/** What a receiver is told of every change; docs/webhook.md describes it. */
export interface WebhookPayload {
  readonly type: "migration.state";
  readonly timestamp: string;
  readonly data: WebhookSubject & {
    readonly state: MigrationState;
    readonly subState: MigrationSubState;
    readonly error?: string;
  };
}

/** Which migration it is. */
export interface WebhookSubject {
  readonly migration: string;
  /** `host:port` */
  readonly source: string;
  readonly target: string;
  readonly databases: readonly string[];
}

interface Delivery {
  readonly id: string;
  readonly body: string;
  readonly about: string;
}

/** Waits between tries. A migration's few changes are worth a minute, not an hour: the next one tells more. */
const pausesMs = [1000, 5000, 20_000];
const answerWithinMs = 10_000;
const lastWithinMs = 10_000;
const mostWaiting = 100;

/**
 * Tells a receiver of changes of state, one after another, signed as the Standard Webhooks specification has it. Whoever
 * tells never waits: a receiver that is slow, or away, costs the migration nothing but a warning.
 */
export class Webhook implements JournalObserver {
  readonly #waiting: Delivery[] = [];
  readonly #end = new AbortController();
  #delivering: Promise<void> | undefined;
  #last = "";

  constructor(
    readonly target: WebhookTarget,
    readonly subject: () => WebhookSubject,
    /** Takes what could not be told, and why; without the address, which may hold a token. */
    readonly onFailure: (text: string) => Promise<void>,
  ) {}

  state(state: MigrationState, subState: MigrationSubState, error: string | undefined): void {
    const about = `${state} / ${subState}`;
    const told = `${about}: ${error ?? ""}`;
    if (told === this.#last) return;
    this.#last = told;
    const payload: WebhookPayload = {
      type: "migration.state",
      timestamp: new Date().toISOString(),
      data: { ...this.subject(), state, subState, ...(error === undefined ? {} : { error }) },
    };
    this.#waiting.push({ id: `msg_${randomUUID()}`, body: JSON.stringify(payload), about });
    if (this.#waiting.length > mostWaiting) this.#waiting.shift();
    this.#delivering ??= this.#deliverAll().finally(() => (this.#delivering = undefined));
  }

  /** Waits a little for what is still to be told, and gives it up then, or when the worker is told to stop. */
  async close(stop: AbortSignal): Promise<void> {
    const giveUp = (): void => this.#end.abort();
    const timer = setTimeout(giveUp, lastWithinMs);
    if (stop.aborted) giveUp();
    else stop.addEventListener("abort", giveUp, { once: true });
    await this.#delivering;
    clearTimeout(timer);
    stop.removeEventListener("abort", giveUp);
  }

  async #deliverAll(): Promise<void> {
    for (let next = this.#waiting[0]; next; next = this.#waiting[0]) {
      const failure = await this.#deliver(next);
      this.#waiting.shift();
      if (failure !== undefined)
        await this.onFailure(`the webhook was not told of ${next.about}: ${failure}`).catch(() => undefined);
    }
  }

  /** Tries until it is taken, refused for good, or given up; answers why it was not taken. */
  async #deliver(delivery: Delivery): Promise<string | undefined> {
    for (let tries = 0; ; tries++) {
      const { isTaken, isFinal, why } = await this.#post(delivery);
      if (isTaken) return undefined;
      const pauseMs = pausesMs[tries];
      if (isFinal || pauseMs === undefined || this.#end.signal.aborted) return why;
      await delay(pauseMs, this.#end.signal);
    }
  }

  async #post({ id, body }: Delivery): Promise<{ isTaken: boolean; isFinal: boolean; why: string }> {
    try {
      const response = await fetch(this.target.url, {
        method: "POST",
        headers: this.#headers(id, body),
        body,
        // It would take the signature to whoever the receiver names.
        redirect: "error",
        signal: AbortSignal.any([this.#end.signal, AbortSignal.timeout(answerWithinMs)]),
      });
      await response.body?.cancel();
      const { status } = response;
      const mayBeRepeated = status >= 500 || status === 408 || status === 429;
      return { isTaken: response.ok, isFinal: !mayBeRepeated, why: `it answered ${status}` };
    } catch (error) {
      return { isTaken: false, isFinal: false, why: whyUnreachable(error) };
    }
  }

  #headers(id: string, body: string): Record<string, string> {
    const headers = {
      "content-type": "application/json",
      "user-agent": `pulumi-pg-migration/${engineVersion}`,
      "webhook-id": id,
      "webhook-timestamp": String(Math.floor(Date.now() / 1000)),
    };
    const { secret } = this.target;
    if (secret === undefined) return headers;
    const signed = `${id}.${headers["webhook-timestamp"]}.${body}`;
    const signature = createHmac("sha256", keyOf(secret)).update(signed).digest("base64");
    return { ...headers, "webhook-signature": `v1,${signature}` };
  }
}

/** `whsec_` is followed by the key in base64; any other secret is the key itself. */
const keyOf = (secret: string): Buffer =>
  secret.startsWith("whsec_") ? Buffer.from(secret.slice("whsec_".length), "base64") : Buffer.from(secret);

function whyUnreachable(error: unknown): string {
  if ((error as Error).name === "TimeoutError") return `no answer within ${answerWithinMs / 1000} s`;
  if ((error as Error).name === "AbortError") return "no answer before the worker ended";
  const { cause } = error as { cause?: unknown };
  return cause === undefined ? messageOf(error) : messageOf(cause);
}
