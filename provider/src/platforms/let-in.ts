import { messageOf, RefusedError, UnreachableError } from "../errors.js";
import { clientAddress } from "../postgres/connection/client-address.js";
import { quoteIdentifier } from "../postgres/identifiers.js";
import type { Endpoint } from "../postgres/connection/endpoint.js";
import { joinCommands, type Platform } from "./platform.js";

/**
 * Adds to a failed connection how to let the client in, with the commands of the server's platform. Errors with another
 * cause, such as a wrong password, are returned unchanged.
 *
 * @example
 * ```ts
 * throw withAccessCommands(error, source, platformOfHost(source, spec.sourceType));
 * // To do: aws ec2 authorize-security-group-ingress ...
 * ```
 */
export function withAccessCommands(error: unknown, { port, user, sslMode }: Endpoint, platform: Platform): unknown {
  if (!(error instanceof RefusedError || error instanceof UnreachableError)) return error;
  const access = { address: clientAddress(error.message), port, role: quoteIdentifier(user) };
  const what = error.message.split("\n")[0]!.replace(`${error.code}: `, "");
  const { code, cause } = error;
  // Other reasons of PGM-101, such as a required client certificate, have a remedy of their own.
  if (code === "PGM-101" && messageOf(cause).includes("pg_hba.conf")) {
    const commands = joinCommands((platform.letIn ?? platform.allow)(access));
    const remedy = sslMode === "Disable" ? `set sslMode to Require, or ${commands}` : commands;
    return new RefusedError(what, { code, cause, remedy });
  }
  if (code !== "603000" || !isSilent(error)) return error;
  const remedy = `${error.remedy}; if a firewall drops the connection: ${joinCommands(platform.allow(access))}`;
  return new UnreachableError(what, { code, cause, remedy });
}

/** Nothing answered: errors sent by a server have a severity. */
const isSilent = ({ cause }: Error): boolean => !(cause instanceof Object && "severity" in cause);
