import { createHmac, randomUUID } from "node:crypto";
import { delay } from "../async/delay.js";
import { engineVersion } from "../engine-version.js";
import { messageOf } from "../errors.js";
import type { WebhookTarget } from "../inputs/inputs.js";
import type { WebhookEvent } from "./webhook-event.js";

interface Delivery {
  readonly id: string;
  readonly body: string;
  readonly about: string;
}

/** Pauses between attempts. Longer ones are not useful: the next delivery has the newer state. */
const pausesMs = [1000, 5000, 20_000];
const answerWithinMs = 10_000;
const lastWithinMs = 10_000;
const maxWaiting = 1000;

/**
 * Sends events to a receiver, one after another, signed according to the Standard Webhooks specification. The caller never
 * waits: a slow or unreachable receiver only causes warnings.
 */
export class WebhookSender {
  readonly #waiting: Delivery[] = [];
  readonly #end = new AbortController();
  #delivering: Promise<void> | undefined;

  constructor(
    readonly target: WebhookTarget,
    /** Receives what was not delivered, and why. The text does not contain the URL, which may contain a token. */
    readonly onFailure: (text: string) => Promise<void>,
  ) {}

  /** @param about names the event in warnings */
  send(event: WebhookEvent, about: string): void {
    const body = JSON.stringify({ type: event.type, timestamp: new Date().toISOString(), data: event.data });
    this.#waiting.push({ id: `msg_${randomUUID()}`, body, about });
    // The first one is being delivered.
    const [dropped] = this.#waiting.length > maxWaiting ? this.#waiting.splice(1, 1) : [];
    if (dropped) void this.#warn(dropped, `${maxWaiting} later changes wait for it`);
    this.#delivering ??= this.#deliverAll().finally(() => (this.#delivering = undefined));
  }

  /** Waits up to 10 s for pending deliveries, and discards them then, or when `stop` aborts. */
  async close(stop: AbortSignal): Promise<void> {
    const discard = (): void => this.#end.abort();
    const timer = setTimeout(discard, lastWithinMs);
    if (stop.aborted) discard();
    else stop.addEventListener("abort", discard, { once: true });
    await this.#delivering;
    clearTimeout(timer);
    stop.removeEventListener("abort", discard);
  }

  async #deliverAll(): Promise<void> {
    for (let next = this.#waiting[0]; next; next = this.#waiting[0]) {
      const failure = await this.#deliver(next);
      this.#waiting.shift();
      if (failure !== undefined) await this.#warn(next, failure);
    }
  }

  async #warn({ about }: Delivery, failure: string): Promise<void> {
    await this.onFailure(`the webhook did not receive ${about}: ${failure}`).catch(() => undefined);
  }

  /** Repeats the attempts until one succeeds, the receiver refuses finally, or the attempts are used up. @returns the failure */
  async #deliver(delivery: Delivery): Promise<string | undefined> {
    for (let tries = 0; ; tries++) {
      const { isAccepted, isFinal, reason } = await this.#post(delivery);
      if (isAccepted) return undefined;
      const pauseMs = pausesMs[tries];
      if (isFinal || pauseMs === undefined || this.#end.signal.aborted) return reason;
      await delay(pauseMs, this.#end.signal);
    }
  }

  async #post({ id, body }: Delivery): Promise<{ isAccepted: boolean; isFinal: boolean; reason: string }> {
    try {
      const response = await fetch(withoutCredentials(this.target.url), {
        method: "POST",
        headers: this.#headers(id, body),
        body,
        // A redirect would send the signature and the credentials to a server that the receiver names.
        redirect: "manual",
        signal: AbortSignal.any([this.#end.signal, AbortSignal.timeout(answerWithinMs)]),
      });
      await response.body?.cancel();
      const { status } = response;
      const mayBeRepeated = status >= 500 || status === 408 || status === 429;
      return {
        isAccepted: response.ok,
        isFinal: !mayBeRepeated,
        reason: `it answered ${status}${redirectHint(status)}`,
      };
    } catch (error) {
      return { isAccepted: false, isFinal: false, reason: failureReason(error) };
    }
  }

  #headers(id: string, body: string): Record<string, string> {
    const headers = {
      ...basicAuthentication(this.target.url),
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

/** After the prefix `whsec_` comes the key in base64. A secret without that prefix is the key itself. */
const keyOf = (secret: string): Buffer =>
  secret.startsWith("whsec_") ? Buffer.from(secret.slice("whsec_".length), "base64") : Buffer.from(secret);

const redirectHint = (status: number): string =>
  status >= 300 && status < 400 ? " (redirects are not followed; give the final address)" : "";

/** `fetch` refuses a URL with credentials, and its error contains the URL. */
function withoutCredentials(url: string): URL {
  const plain = new URL(url);
  plain.username = "";
  plain.password = "";
  return plain;
}

function basicAuthentication(url: string): Record<string, string> {
  const { username, password } = new URL(url);
  if (username === "" && password === "") return {};
  const credentials = `${decoded(username)}:${decoded(password)}`;
  return { authorization: `Basic ${Buffer.from(credentials).toString("base64")}` };
}

/** A password may contain a percent sign that encodes nothing. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function failureReason(error: unknown): string {
  if ((error as Error).name === "TimeoutError") return `no answer within ${answerWithinMs / 1000} s`;
  if ((error as Error).name === "AbortError") return "no answer before the process ended";
  const { cause } = error as { cause?: unknown };
  return cause === undefined ? messageOf(error) : messageOf(cause);
}
