import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import { InvalidInputError } from "../errors.js";

const maxBytes = 64 * 1024;

/** Whether a request has the content type of JSON. */
export const isJson = (headers: IncomingHttpHeaders): boolean =>
  /^application\/json\s*(;|$)/i.test(headers["content-type"] ?? "");

/**
 * The JSON object in the body of a request. A body that is too large is read to its end, so that the client gets an answer,
 * but not kept.
 *
 * @throws InvalidInputError if the body is not a JSON object, or too large
 */
export async function readJsonBody(request: IncomingMessage): Promise<Readonly<Record<string, unknown>>> {
  if (!isJson(request.headers)) throw invalid("expected the content type application/json");
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes <= maxBytes) chunks.push(chunk);
  }
  if (bytes > maxBytes) throw invalid(`larger than ${maxBytes} bytes`);
  const parsed = parse(Buffer.concat(chunks).toString("utf8"));
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) throw invalid("expected a JSON object");
  return parsed as Readonly<Record<string, unknown>>;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The parser's message repeats a part of the text, which may contain a password.
    throw invalid("invalid JSON");
  }
}

const invalid = (reason: string): InvalidInputError => new InvalidInputError([{ property: "body", reason }]);
