const millisecondsPerDay = 86_400_000;
const opening = Date.UTC(2011, 4, 31);

/** The days from the company's first order to the last one. */
export const daysOfBusiness = 1127;

const dates = new Map<number, string>();

/** The date `day` days after the first order, as YYYY-MM-DD. */
export function date(day: number): string {
  const known = dates.get(day);
  if (known !== undefined) return known;
  const text = new Date(opening + day * millisecondsPerDay).toISOString().slice(0, 10);
  dates.set(day, text);
  return text;
}

/** A timestamp: days after the first order, and the seconds since midnight. */
export function moment(day: number, seconds = 0): string {
  const parts = [seconds / 3600, (seconds / 60) % 60, seconds % 60];
  return `${date(day)} ${parts.map((part) => String(Math.floor(part)).padStart(2, "0")).join(":")}`;
}
