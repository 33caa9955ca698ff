import { InvalidInputError } from "../../errors.js";
import { webhookSchema, type WebhookTarget } from "../../inputs/inputs.js";
import type { TargetsFlags } from "./targets-option.js";

const variables = { url: "PG_MIGRATION_WEBHOOK_URL", secret: "PG_MIGRATION_WEBHOOK_SECRET" } as const;

export interface WebhookFlags extends TargetsFlags {
  readonly webhook?: boolean;
}

/** The webhook, from the environment. It is not a flag because its URL may contain a token. */
export function webhookInput(): { webhook?: WebhookTarget } {
  const [url, secret] = [process.env[variables.url], process.env[variables.secret]];
  if (url === undefined || url === "") return {};
  return { webhook: { url, ...(secret === undefined || secret === "" ? {} : { secret }) } };
}

/**
 * The webhook that `--webhook` selects for many targets.
 *
 * @throws InvalidInputError without the variable of the URL, or with an invalid value, which the message does not repeat
 */
export function fleetWebhook({ webhook: isWanted = false, targets }: WebhookFlags): WebhookTarget | undefined {
  if (!isWanted) return undefined;
  if (targets === undefined)
    throw new InvalidInputError([
      { property: "--webhook", reason: "needs --targets: the worker of a single migration reports to its own webhook" },
    ]);
  const { webhook } = webhookInput();
  if (!webhook)
    throw new InvalidInputError([{ property: variables.url, reason: "is missing: give the receiver's URL" }]);
  const parsed = webhookSchema.safeParse(webhook);
  if (parsed.success) return parsed.data;
  throw new InvalidInputError(
    parsed.error.issues.map(({ path, message }) => ({
      property: path[0] === "secret" ? variables.secret : variables.url,
      reason: message,
    })),
  );
}
