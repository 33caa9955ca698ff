import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

/** The file of a stack's generated passphrase. It decrypts the state, so only its owner can read it. */
export function keyFileOf(stateFile: string): string {
  return `${stateFile}.key`;
}

/**
 * Returns the given passphrase, otherwise that of PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE. Without them,
 * it generates one and keeps it in a file beside the state that only its owner can read.
 */
export function findPassphrase(given: string | undefined, stateFile: string): string {
  const fromEnvironment = process.env.PULUMI_CONFIG_PASSPHRASE;
  const file = process.env.PULUMI_CONFIG_PASSPHRASE_FILE;
  if (given !== undefined) return given;
  if (fromEnvironment !== undefined) return fromEnvironment;
  if (file !== undefined) return readFileSync(file, "utf8").trim();
  return generatedPassphrase(keyFileOf(stateFile));
}

function generatedPassphrase(keyFile: string): string {
  if (existsSync(keyFile)) return readFileSync(keyFile, "utf8").trim();
  mkdirSync(dirname(keyFile), { recursive: true, mode: 0o700 });
  const passphrase = randomBytes(32).toString("base64url");
  writeFileSync(keyFile, `${passphrase}\n`, { mode: 0o600, flag: "wx" });
  return passphrase;
}
