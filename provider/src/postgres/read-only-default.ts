/**
 * SQL for whether transactions of a session would only read unless they say otherwise, as ours do: by what the server, its
 * database or its role has set. False on a standby, where none can write at all.
 */
export const isReadOnlyByDefault = `NOT pg_catalog.pg_is_in_recovery() AND EXISTS (
  SELECT FROM pg_catalog.pg_settings WHERE name = 'default_transaction_read_only' AND reset_val = 'on')`;
