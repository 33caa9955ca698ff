/** `/targets/<name>` while the page shows one target of a list, otherwise empty. It precedes paths of the API and of pages. */
export const targetPrefix = (): string => /^#(\/targets\/[^/]+)/.exec(location.hash)?.[1] ?? "";

/** The name of the target that the page shows, if it is one of a list. */
export function targetInAddress(): string | undefined {
  const [, , encoded] = targetPrefix().split("/");
  try {
    return encoded === undefined ? undefined : decodeURIComponent(encoded);
  } catch {
    // A percent sign that encodes nothing: the dashboard has no such target.
    return encoded;
  }
}
