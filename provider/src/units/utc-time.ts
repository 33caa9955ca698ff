/**
 * Milliseconds since 1970 of an ISO 8601 time, which is in UTC if it has no offset. `Date.parse` alone would read it in the
 * time zone of the machine, and worker and program may run in different ones.
 *
 * @example parseUtcTime("2030-01-31T22:00:00") === parseUtcTime("2030-01-31T22:00:00Z")
 */
export function parseUtcTime(text: string): number {
  const isLocal = text.includes("T") && !/(Z|[+-]\d\d:\d\d)$/.test(text);
  return Date.parse(isLocal ? `${text}Z` : text);
}
