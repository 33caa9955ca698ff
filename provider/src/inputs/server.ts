import { z } from "zod";
import { wholeNumber } from "./whole-number.js";

export const sslModes = ["Disable", "Prefer", "Require", "VerifyCA", "VerifyFull"] as const;
export const sslModeSchema = z.enum(sslModes);

/** A host name or an address: no URL, which may hold a password, and no port. The reason never repeats the value. */
export const hostSchema = z
  .string()
  .min(1, "name the server: a host name or an address")
  .refine(
    (host) => !/[/@?\s]/.test(host),
    "give the host name alone; user, password, port and database have inputs of their own",
  )
  .refine((host) => !/^[^:]*:\d+$/.test(host), "give the host name alone, and the port as port");

/** A server, and the role that logs in there: the shape that all others derive from. */
const shape = {
  host: hostSchema,
  port: wholeNumber("a port", 1, 65535),
  user: z.string().min(1, "name the role that logs in"),
  password: z.string().min(1, "give the role's password, from a secret").optional(),
  passwordCommand: z.string().min(1, "give a command that prints the password").optional(),
  sslMode: sslModeSchema,
  sslRootCert: z.string().min(1).optional(),
};

/** As a program gives it. What is missing here may come from the ARM keys: `resolveServers` completes it. */
export const serverSchema = z.strictObject(shape).partial();

/** As a worker receives it: complete, but for defaults. */
export const endpointSchema = z.object({
  ...shape,
  port: shape.port.default(5432),
  sslMode: shape.sslMode.default("Prefer"),
});

const loopback = /^(localhost|127(\.\d+){3}|::1|0:0:0:0:0:0:0:1)$/i;

/** Whether two host names are known to name one machine: the same name, or both this machine. */
export const isSameHost = (one: string, other: string): boolean =>
  one.toLowerCase() === other.toLowerCase() || (loopback.test(one) && loopback.test(other));
