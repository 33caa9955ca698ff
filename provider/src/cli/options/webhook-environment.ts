import type { WebhookTarget } from "../../inputs/inputs.js";

/** The webhook, from the environment. It is not a flag because its URL may contain a token. */
export function webhookInput(): { webhook?: WebhookTarget } {
  const { PG_MIGRATION_WEBHOOK_URL: url, PG_MIGRATION_WEBHOOK_SECRET: secret } = process.env;
  if (url === undefined || url === "") return {};
  return { webhook: { url, ...(secret === undefined || secret === "" ? {} : { secret }) } };
}
