export const count = (value: number): string => value.toLocaleString("en");

/** To the second: a clock that is looked at. */
export function clock(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  if (hours > 0) return `${hours} h ${minutes} min`;
  return minutes > 0 ? `${minutes} min ${whole % 60} s` : `${whole} s`;
}

export const time = (iso: string | undefined): string =>
  iso === undefined ? "" : new Date(iso).toLocaleString(undefined, { dateStyle: "short", timeStyle: "short" });

/** The class that colours a state. */
export function tone(state: string): string {
  if (state === "Succeeded" || state === "completed") return "good";
  if (state.includes("Failed") || state === "errored") return "bad";
  return state === "Canceled" || state === "Warning" || state.startsWith("Waiting") ? "warn" : "";
}
