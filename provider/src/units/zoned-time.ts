const dayMs = 86_400_000;

/** Whether the name is an IANA time zone that this Node.js knows. */
export function isTimeZone(name: string): boolean {
  try {
    return formatOf(name).resolvedOptions().timeZone !== "";
  } catch {
    return false;
  }
}

/**
 * The instants, in milliseconds since 1970, at which clocks of a time zone show an ISO 8601 time: usually one, none when clocks
 * are set forward, and two when they are set back. A time with an offset is one instant in every zone.
 *
 * @example instantsOf("2030-02-01T02:00", "Europe/Berlin") // [Date.parse("2030-02-01T01:00:00Z")]
 */
export function instantsOf(time: string, timeZone: string): number[] {
  if (/(Z|[+-]\d\d:\d\d)$/.test(time)) return [Date.parse(time)];
  const shown = Date.parse(`${time}Z`);
  // No zone has changed its offset twice within two days.
  const offsets = new Set([-dayMs, dayMs].map((distance) => offsetAt(shown + distance, timeZone)));
  return [...offsets]
    .map((offset) => ({ offset, instant: shown - offset }))
    .filter(({ offset, instant }) => offsetAt(instant, timeZone) === offset)
    .map(({ instant }) => instant)
    .sort((one, other) => one - other);
}

const formatOf = (timeZone: string): Intl.DateTimeFormat =>
  new Intl.DateTimeFormat("en-US", { timeZone, timeZoneName: "longOffset" });

/** Milliseconds by which clocks are ahead of UTC: `GMT+05:30` is 5.5 hours. */
function offsetAt(instant: number, timeZone: string): number {
  const name = formatOf(timeZone)
    .formatToParts(instant)
    .find(({ type }) => type === "timeZoneName")!.value;
  const [, sign, hours = "0", minutes = "0", seconds = "0"] = /([+-])(\d\d):(\d\d)(?::(\d\d))?/.exec(name) ?? [];
  const ahead = (Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds)) * 1000;
  return sign === "-" ? -ahead : ahead;
}
