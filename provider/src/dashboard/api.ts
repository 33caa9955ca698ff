import type { IncomingMessage } from "node:http";
import type { PageSettings } from "./messages.js";
import type { Reply, Stream } from "./reply.js";
import type { RequestTarget } from "./request-target.js";

/** What the dashboard answers to clients with the token, about one target or about many. */
export interface Api {
  readonly settings: PageSettings;
  /** Whether the target can be read, or any of many. */
  health(): Promise<boolean>;
  metrics(): Promise<Reply>;
  get(target: RequestTarget, isHead: boolean): Promise<Reply | Stream>;
  post(target: RequestTarget, request: IncomingMessage): Promise<Reply>;
  /** Ends the streams of the pages. */
  close(): Promise<void>;
}
