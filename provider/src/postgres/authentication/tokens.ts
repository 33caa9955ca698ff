import { withTimeout } from "../../async/with-timeout.js";
import type { Endpoint } from "../connection/endpoint.js";
import type { TokenAuthentication } from "./authentication.js";
import { cloudSqlToken } from "./cloud-sql-token.js";
import { entraToken } from "./entra-token.js";
import { rdsToken } from "./rds-token.js";
import { RenewedToken, type Token } from "./renewed-token.js";
import { tokenFailure } from "./token-failure.js";

type Login = Pick<Endpoint, "host" | "port" | "user">;

const tokens = new Map<string, RenewedToken>();

/**
 * The current token of a login. All connections of this process share it.
 *
 * @throws RefusedError when the platform refuses, or the platform's package is not installed
 * @throws UnreachableError when the platform does not answer
 * @example await currentToken({ kind: "entra", credential: "managedIdentity" }, target)
 */
export function currentToken(auth: TokenAuthentication, { host, port, user }: Login): Promise<string> {
  const login = { host, port, user };
  // Only the tokens of RDS are made for one role of one server.
  const key = JSON.stringify(auth.kind === "rdsIam" ? [auth, login] : [auth]);
  let token = tokens.get(key);
  if (!token) tokens.set(key, (token = new RenewedToken(requestOf(auth, login))));
  return token.current();
}

/** Libraries try several issuers, each with retries. */
const timeoutMs = 60_000;

function requestOf(auth: TokenAuthentication, login: Login): () => Promise<Token> {
  const request = requester(auth, login);
  return async () => {
    try {
      const token = await withTimeout(request(), timeoutMs);
      if (token) return token;
    } catch (error) {
      throw tokenFailure(auth, error);
    }
    throw tokenFailure(auth, Object.assign(new Error(`no answer within ${timeoutMs / 1000} s`), { code: "ETIMEDOUT" }));
  };
}

function requester(auth: TokenAuthentication, login: Login): () => Promise<Token> {
  switch (auth.kind) {
    case "entra":
      return entraToken(auth);
    case "rdsIam":
      return rdsToken(auth, login);
    case "cloudSqlIam":
      return cloudSqlToken();
  }
}
