import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { z } from "zod";
import { Encryption } from "./encryption";
import {
  isMap,
  mapValues,
  replaceSecrets,
  secret,
  secretSignature,
  signatureKey,
  type PropertyMap,
  type PropertyValue,
} from "../protocol/property-value";
import { resourceState, type ResourceState } from "./stack-state";

const fileContent = z.object({
  version: z.literal(1),
  project: z.string(),
  stack: z.string(),
  /** Salt of the key that encrypts the secrets below. */
  salt: z.string(),
  resources: z.array(resourceState),
});

export class InvalidStateError extends Error {
  override readonly name = "InvalidStateError";
}

export class ConcurrentOperationError extends Error {
  override readonly name = "ConcurrentOperationError";
}

export interface StateFileOptions {
  readonly path: string;
  readonly project: string;
  readonly stack: string;
  readonly passphrase: () => string;
}

/**
 * A stack's state on disk. Each write creates a new file that replaces the old one, so the state is always complete.
 * Secrets are encrypted, and only its owner can read the file.
 */
export class StateFile {
  readonly #options: StateFileOptions;
  #encryption: Encryption | undefined;

  constructor(options: StateFileOptions) {
    this.#options = options;
  }

  load(): ResourceState[] {
    const { path } = this.#options;
    if (!existsSync(path)) return [];
    const content = parse(path);
    const encryption = new Encryption(this.#options.passphrase(), content.salt);
    this.#encryption = encryption;
    return content.resources.map((resource) => ({
      ...resource,
      inputs: decryptSecrets(resource.inputs, encryption),
      outputs: decryptSecrets(resource.outputs, encryption),
    }));
  }

  save(resources: readonly ResourceState[]): void {
    const { path, project, stack } = this.#options;
    this.#encryption ??= new Encryption(this.#options.passphrase());
    const encryption = this.#encryption;
    const encrypted = resources.map((resource) => ({
      ...resource,
      inputs: encryptSecrets(resource.inputs, encryption),
      outputs: encryptSecrets(resource.outputs, encryption),
    }));
    const content = { version: 1, project, stack, salt: encryption.salt, resources: encrypted };
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    const temporary = `${path}.${process.pid}.tmp`;
    writeFileSync(temporary, `${JSON.stringify(content, undefined, 2)}\n`, { mode: 0o600, flush: true });
    renameSync(temporary, path);
  }

  /** Locks the stack. Returns the function that unlocks it. */
  lock(): () => void {
    const lock = `${this.#options.path}.lock`;
    mkdirSync(dirname(lock), { recursive: true, mode: 0o700 });
    if (!tryLock(lock)) {
      const holder = Number(readFileSync(lock, "utf8"));
      if (isRunning(holder)) {
        throw new ConcurrentOperationError(
          `process ${holder} is running an operation on stack ${this.#options.stack}; wait for it, or remove ${lock}`,
        );
      }
      rmSync(lock, { force: true });
      if (!tryLock(lock)) throw new ConcurrentOperationError(`another process has just locked ${lock}`);
    }
    return () => rmSync(lock, { force: true });
  }
}

function parse(path: string): z.infer<typeof fileContent> {
  try {
    return fileContent.parse(JSON.parse(readFileSync(path, "utf8")));
  } catch (cause) {
    throw new InvalidStateError(`${path} is not a state of this host`, { cause });
  }
}

function tryLock(lock: string): boolean {
  try {
    writeFileSync(lock, String(process.pid), { mode: 0o600, flag: "wx" });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

export function isRunning(processId: number): boolean {
  try {
    return process.kill(processId, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

export function encryptSecrets(map: PropertyMap, encryption: Encryption): PropertyMap {
  return mapValues(map, (value) =>
    replaceSecrets(value, (plain) => ({
      [signatureKey]: secretSignature,
      ciphertext: encryption.encrypt(JSON.stringify(plain)),
    })),
  );
}

export function decryptSecrets(map: PropertyMap, encryption: Encryption): PropertyMap {
  return mapValues(map, (value) => decryptValue(value, encryption));
}

function decryptValue(value: PropertyValue, encryption: Encryption): PropertyValue {
  if (Array.isArray(value)) return (value as PropertyValue[]).map((element) => decryptValue(element, encryption));
  if (!isMap(value)) return value;
  if (value[signatureKey] !== secretSignature) return decryptSecrets(value, encryption);
  if (typeof value.ciphertext !== "string") throw new InvalidStateError("a secret in the state has no ciphertext");
  return secret(JSON.parse(encryption.decrypt(value.ciphertext)) as PropertyValue);
}
