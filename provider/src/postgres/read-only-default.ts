/**
 * SQL condition: transactions are read-only by default, because of a setting of the server, the database or the role. False
 * on a standby, where no transaction can write.
 */
export const isReadOnlyByDefault = `NOT pg_catalog.pg_is_in_recovery() AND EXISTS (
  SELECT FROM pg_catalog.pg_settings WHERE name = 'default_transaction_read_only' AND reset_val = 'on')`;
