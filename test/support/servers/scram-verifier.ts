import { createHash, createHmac, pbkdf2Sync, randomBytes } from "node:crypto";

/**
 * The form in which a server stores a password (RFC 5803), with one iteration instead of 4096. Clients repeat the
 * iterations at each login, which is most of the CPU of a short session.
 */
export function scramVerifier(password: string): string {
  const salt = randomBytes(16);
  const salted = pbkdf2Sync(password, salt, 1, 32, "sha256");
  const key = (name: string): Buffer => createHmac("sha256", salted).update(name).digest();
  const storedKey = createHash("sha256").update(key("Client Key")).digest("base64");
  return `SCRAM-SHA-256$1:${salt.toString("base64")}$${storedKey}:${key("Server Key").toString("base64")}`;
}
