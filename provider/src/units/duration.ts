const secondsPerUnit: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 };

/**
 * Seconds of a duration in the form of Pulumi's customTimeouts: `90s`, `30m`, `2h`, `1h30m`, `7d`; undefined for
 * anything else.
 */
export function parseDuration(text: string): number | undefined {
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)([smhd])/g)];
  if (parts.length === 0 || parts.map(([whole]) => whole).join("") !== text) return undefined;
  const seconds = parts.reduce((sum, [, count, unit]) => sum + Number(count) * secondsPerUnit[unit!]!, 0);
  return seconds > 0 ? seconds : undefined;
}

/** Seconds as text for people: `45 s`, `12 min`, `3 h 20 min`. */
export function formatDuration(seconds: number): string {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
