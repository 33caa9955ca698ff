import { createHash, createHmac, pbkdf2Sync, randomBytes } from "node:crypto";

/**
 * What a server stores of a password (RFC 5803), of one iteration instead of 4096: a client goes through them at each login,
 * which is most of what a session costs it, and guessing the passwords of tests need not be made hard.
 */
export function scramVerifier(password: string): string {
  const salt = randomBytes(16);
  const salted = pbkdf2Sync(password, salt, 1, 32, "sha256");
  const key = (name: string): Buffer => createHmac("sha256", salted).update(name).digest();
  const storedKey = createHash("sha256").update(key("Client Key")).digest("base64");
  return `SCRAM-SHA-256$1:${salt.toString("base64")}$${storedKey}:${key("Server Key").toString("base64")}`;
}
