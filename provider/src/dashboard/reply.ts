import type { ServerResponse } from "node:http";
import { InvalidInputError, messageOf, NotFoundError, RefusedError } from "../errors.js";

export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly content: string | Buffer;
}

/** Takes over the response, and sends server-sent events until the client leaves. */
export type Stream = (response: ServerResponse) => void;

export const json = (status: number, answer: unknown, headers: Readonly<Record<string, string>> = {}): Reply => ({
  status,
  headers: { "content-type": "application/json; charset=utf-8", "cache-control": "no-store", ...headers },
  content: JSON.stringify(answer),
});

export const methodNotAllowed = (allow: string): Reply => json(405, { error: `allowed methods: ${allow}` }, { allow });

export const notFound = json(404, { error: "not found" });

export const metricsReply = (content: string): Reply => ({
  status: 200,
  headers: { "content-type": "text/plain; version=0.0.4; charset=utf-8" },
  content,
});

/** The answer to a request that failed. */
export const failureReply = (error: unknown): Reply => json(statusOf(error), { error: messageOf(error) });

function statusOf(error: unknown): number {
  if (error instanceof InvalidInputError) return 400;
  if (error instanceof NotFoundError) return 404;
  return error instanceof RefusedError ? 409 : 503;
}
