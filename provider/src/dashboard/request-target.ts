export interface RequestTarget {
  /** The authority of an absolute-form target, which replaces the Host header. */
  readonly host: string | undefined;
  /** As sent: neither decoded nor normalized. */
  readonly path: string;
  readonly query: URLSearchParams;
}

/**
 * Parses the target of a request line: `/path?query`, or `http://host/path?query` as RFC 9112 requires. Never throws;
 * undefined for an invalid target, such as `//host` or `*`.
 */
export function parseRequestTarget(target: string): RequestTarget | undefined {
  const [, host, path, query] =
    /^(?:https?:\/\/([^/\\?#\s]+))?(\/(?![/\\])[^?#\\]*)(?:\?([^#]*))?$/i.exec(target) ?? [];
  if (path === undefined) return undefined;
  return { host, path, query: new URLSearchParams(query) };
}
