import { pbkdf2Sync, randomBytes } from "node:crypto";
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parse, parseDocument } from "yaml";
import { z } from "zod";
import { decryptWith, encryptWith } from "./encryption";
import type { Project } from "./project";

const stackFile = z
  .object({ encryptionsalt: z.string().optional(), config: z.record(z.string(), z.unknown()).default({}) })
  .loose();

export class InvalidConfigurationError extends Error {
  override readonly name = "InvalidConfigurationError";
}

export interface StackConfiguration {
  /** All values in clear text, by their full key `namespace:name`. */
  readonly values: Readonly<Record<string, string>>;
  readonly secretKeys: readonly string[];
}

export interface ConfigurationSources {
  readonly project: Project;
  readonly stack: string;
  readonly passphrase: () => string;
  readonly config: Readonly<Record<string, string>>;
  readonly secretConfig: Readonly<Record<string, string>>;
}

/** A stack's configuration. Pulumi.<stack>.yaml overrides the defaults of Pulumi.yaml, and passed values override both. */
export function loadConfiguration(sources: ConfigurationSources): StackConfiguration {
  const { project, stack, passphrase } = sources;
  const values = new Map<string, string>();
  const secretKeys = new Set<string>();
  const put = (key: string, value: string, isSecret: boolean) => {
    const full = fullKey(project, key);
    values.set(full, value);
    if (isSecret) secretKeys.add(full);
    else secretKeys.delete(full);
  };
  for (const [key, value] of Object.entries(project.defaultConfiguration)) put(key, value, false);
  const file = readStackFile(stackFilePath(project, stack));
  const decrypt = decryptorOf(file.encryptionsalt, passphrase);
  for (const [key, value] of Object.entries(file.config)) {
    const plain = decrypted(value, decrypt);
    const isSecret = JSON.stringify(plain) !== JSON.stringify(value);
    put(key, typeof plain === "string" ? plain : JSON.stringify(plain), isSecret);
  }
  for (const [key, value] of Object.entries(sources.config)) put(key, value, false);
  for (const [key, value] of Object.entries(sources.secretConfig)) put(key, value, true);
  return { values: Object.fromEntries(values), secretKeys: [...secretKeys] };
}

/** Writes one value to Pulumi.<stack>.yaml in the CLI's format. */
export function saveConfigurationValue(
  sources: Pick<ConfigurationSources, "project" | "stack" | "passphrase">,
  key: string,
  value: { readonly text: string; readonly isSecret: boolean },
): void {
  const path = stackFilePath(sources.project, sources.stack);
  const document = parseDocument(existsSync(path) ? readFileSync(path, "utf8") : "");
  const full = fullKey(sources.project, key);
  if (!value.isSecret) {
    document.setIn(["config", full], value.text);
  } else {
    const salt = readStackFile(path).encryptionsalt ?? newSalt(sources.passphrase());
    document.set("encryptionsalt", salt);
    document.setIn(["config", full], { secure: encryptWith(keyOf(salt, sources.passphrase()), value.text) });
  }
  writeFileSync(`${path}.tmp`, document.toString(), { mode: 0o644 });
  renameSync(`${path}.tmp`, path);
}

function stackFilePath(project: Project, stack: string): string {
  return join(project.rootDirectory, `Pulumi.${stack}.yaml`);
}

function readStackFile(path: string): z.infer<typeof stackFile> {
  if (!existsSync(path)) return { config: {} };
  const parsed = stackFile.safeParse(parse(readFileSync(path, "utf8")) ?? {});
  if (parsed.success) return parsed.data;
  throw new InvalidConfigurationError(`${path} is not valid: ${z.prettifyError(parsed.error)}`);
}

function fullKey(project: Project, key: string): string {
  return key.includes(":") ? key : `${project.name}:${key}`;
}

function decrypted(value: unknown, decrypt: (ciphertext: string) => string): unknown {
  if (Array.isArray(value)) return value.map((element) => decrypted(element, decrypt));
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value);
  const [first] = entries;
  if (entries.length === 1 && first?.[0] === "secure" && typeof first[1] === "string") return decrypt(first[1]);
  return Object.fromEntries(entries.map(([key, element]) => [key, decrypted(element, decrypt)]));
}

function decryptorOf(salt: string | undefined, passphrase: () => string): (ciphertext: string) => string {
  let key: Buffer | undefined;
  return (ciphertext) => {
    if (salt === undefined) {
      throw new InvalidConfigurationError(
        "a secret in the stack's file was encrypted by a service, not by a passphrase",
      );
    }
    key ??= keyOf(salt, passphrase());
    return decryptWith(key, ciphertext);
  };
}

/** `v1:<salt>:<the word pulumi, encrypted>`. The last part detects a wrong passphrase. */
function newSalt(passphrase: string): string {
  const salt = randomBytes(8);
  return `v1:${salt.toString("base64")}:${encryptWith(derivedKey(salt, passphrase), "pulumi")}`;
}

function keyOf(encryptionSalt: string, passphrase: string): Buffer {
  const [version, salt, ...proof] = encryptionSalt.split(":");
  if (version !== "v1" || salt === undefined)
    throw new InvalidConfigurationError("encryptionsalt is not in a known form");
  const key = derivedKey(Buffer.from(salt, "base64"), passphrase);
  decryptWith(key, proof.join(":"));
  return key;
}

function derivedKey(salt: Buffer, passphrase: string): Buffer {
  return pbkdf2Sync(passphrase, salt, 1_000_000, 32, "sha256");
}
