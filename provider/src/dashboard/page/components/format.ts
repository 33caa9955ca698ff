import { formatBytes } from "../../../units/byte-size.js";
import { locale } from "./locale.js";

const whole = new Intl.NumberFormat(locale);
const oneDigit = new Intl.NumberFormat(locale, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const twoDigits = new Intl.NumberFormat(locale, { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const minute = new Intl.DateTimeFormat(locale, { dateStyle: "short", timeStyle: "short" });
const zoned = new Intl.DateTimeFormat(locale, {
  ...{ year: "numeric", month: "short", day: "numeric" },
  ...{ hour: "numeric", minute: "2-digit", second: "2-digit", timeZoneName: "short" },
});
const second = new Intl.DateTimeFormat(locale, {
  ...{ year: "numeric", month: "2-digit", day: "2-digit" },
  ...{ hour: "2-digit", minute: "2-digit", second: "2-digit" },
});

export const count = (value: number): string => whole.format(value);

/** Like `formatBytes`, in the browser's locale. */
export function bytes(value: number): string {
  const [number = "0", unit = "B"] = formatBytes(value).split(" ");
  return `${(unit === "B" ? whole : oneDigit).format(Number(number))} ${unit}`;
}

/** For latencies and steps. */
export const seconds = (value: number): string =>
  value < 60 ? `${(value < 10 ? twoDigits : oneDigit).format(value)} s` : elapsed(value);

/** To the second, such as `2 min 5 s`: for a clock that runs. */
export function elapsed(value: number): string {
  const total = Math.max(0, Math.round(value));
  const [days, hours, minutes] = [
    Math.floor(total / 86_400),
    Math.floor(total / 3600) % 24,
    Math.floor(total / 60) % 60,
  ];
  if (days > 0) return `${days} d ${hours} h`;
  if (hours > 0) return `${hours} h ${minutes} min`;
  return minutes > 0 ? `${minutes} min ${total % 60} s` : `${total} s`;
}

export const dateTime = (iso: string): string => minute.format(new Date(iso));

/** To the second, for the lines of a log. */
export const logTime = (iso: string): string => second.format(new Date(iso));

/** To the second, with the time zone. */
export const zonedTime = (iso: string): string => zoned.format(new Date(iso));

/** The time zone in which all times are shown, such as `Europe/Berlin`. */
export const timeZone = new Intl.DateTimeFormat(locale).resolvedOptions().timeZone;

/** An identifier of the API as words: `WaitingForUserAction` becomes `Waiting for user action`. */
export const words = (identifier: string): string =>
  identifier
    .replace(/(?<=[a-z])[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)
    .replace(/^./, (letter) => letter.toUpperCase());
