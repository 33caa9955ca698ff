import type { WebhookTarget } from "../../inputs/inputs.js";

/** Where the command takes a webhook from: as with passwords, never from a flag, for its address may hold a token. */
export function webhookInput(): { webhook?: WebhookTarget } {
  const { PG_MIGRATION_WEBHOOK_URL: url, PG_MIGRATION_WEBHOOK_SECRET: secret } = process.env;
  if (url === undefined || url === "") return {};
  return { webhook: { url, ...(secret === undefined || secret === "" ? {} : { secret }) } };
}
