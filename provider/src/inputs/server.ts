import { z } from "zod";
import { usesToken, type Authentication } from "../postgres/authentication/authentication.js";
import type { SslMode } from "../postgres/connection/endpoint.js";
import { anyCase } from "./any-case.js";
import { authenticationSchema } from "./authentication.js";
import { wholeNumber } from "./whole-number.js";

export const sslModes = ["Disable", "Prefer", "Require", "VerifyCA", "VerifyFull"] as const;
export const sslModeSchema = anyCase(sslModes);

/**
 * A host name or an address, without a URL, which may contain a password, and without a port. The error never repeats
 * the value.
 */
export const hostSchema = z
  .string()
  .min(1, "give the server's host name or address")
  .refine(
    (host) => !/[/@?\s]/.test(host),
    "give only the host name; user, password, port and database are separate inputs",
  )
  .refine((host) => !/^[^:]*:\d+$/.test(host), "give only the host name here, and the port as port");

/** A server and the login on it. All other schemas of servers derive from this one. */
const shape = {
  host: hostSchema,
  port: wholeNumber("a port", 1, 65535),
  user: z.string().min(1, "give the role that logs in"),
  password: z.string().min(1, "give the role's password, from a secret").optional(),
  auth: authenticationSchema.optional(),
  sslMode: sslModeSchema,
  sslRootCert: z.string().min(1).optional(),
};

/** A server in a program. ARM keys may supply missing values: `resolveServers` completes it. */
export const serverSchema = z.strictObject(shape).partial();

/** A server as sent to a worker: complete except for defaults. */
export const endpointSchema = z
  .object({ ...shape, port: shape.port.default(5432), sslMode: shape.sslMode.optional() })
  .transform((server) => ({ ...server, sslMode: server.sslMode ?? usualSslMode(server.auth) }));

/** The mode if the program sets none. Tokens are sent only over TLS. */
export const usualSslMode = (auth: Authentication | undefined): SslMode => (usesToken(auth) ? "Require" : "Prefer");

const loopback = /^(localhost|127(\.\d+){3}|::1|0:0:0:0:0:0:0:1)$/i;

/** Whether two host names are known to be the same machine: the same name, or both this machine. */
export const isSameHost = (one: string, other: string): boolean =>
  one.toLowerCase() === other.toLowerCase() || (loopback.test(one) && loopback.test(other));
