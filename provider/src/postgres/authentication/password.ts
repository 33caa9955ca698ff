import { RefusedError } from "../../errors.js";
import type { Endpoint } from "../connection/endpoint.js";
import { usesToken } from "./authentication.js";
import { printedPassword } from "./printed-password.js";
import { currentToken } from "./tokens.js";

/**
 * The current password of a role: the given one, the output of its command, or a token. It is asked for before each
 * connection, because commands and tokens change.
 *
 * @throws RefusedError when it cannot be obtained, or when a token would be sent without TLS
 * @throws UnreachableError when the issuer of the token does not answer
 */
export async function passwordOf(endpoint: Endpoint): Promise<string> {
  const { auth, password, sslMode } = endpoint;
  if (auth?.kind === "command") return printedPassword(auth.command);
  if (!usesToken(auth)) return password ?? "";
  if (sslMode === "Disable" || sslMode === "Prefer") throw withoutTls(endpoint);
  return currentToken(auth, endpoint);
}

const withoutTls = ({ host, port, sslMode }: Endpoint): RefusedError =>
  new RefusedError(`${host}:${port}: with sslMode ${sslMode} a token could be sent without TLS`, {
    remedy: "set sslMode to Require, VerifyCA or VerifyFull",
    code: "PGM-105",
  });
