import { createCipheriv, createDecipheriv, randomBytes, scryptSync } from "node:crypto";

const algorithm = "aes-256-gcm";
const keyLength = 32;
const nonceLength = 12;
const tagLength = 16;
const cost = { N: 1 << 15, r: 8, p: 1, maxmem: 64 * 1024 * 1024 };

export class WrongPassphraseError extends Error {
  override readonly name = "WrongPassphraseError";
}

/** Encrypts texts with AES-256-GCM and a key that scrypt derives from a passphrase. */
export class Encryption {
  readonly salt: string;
  readonly #key: Buffer;

  constructor(passphrase: string, salt: string = randomBytes(16).toString("base64")) {
    this.salt = salt;
    this.#key = scryptSync(passphrase, Buffer.from(salt, "base64"), keyLength, cost);
  }

  encrypt(text: string): string {
    return encryptWith(this.#key, text);
  }

  decrypt(ciphertext: string): string {
    return decryptWith(this.#key, ciphertext);
  }
}

/** `v1:<nonce>:<ciphertext and tag>`, the same format as the Pulumi CLI's. */
export function encryptWith(key: Buffer, text: string): string {
  const nonce = randomBytes(nonceLength);
  const cipher = createCipheriv(algorithm, key, nonce);
  const sealed = Buffer.concat([cipher.update(text, "utf8"), cipher.final(), cipher.getAuthTag()]);
  return `v1:${nonce.toString("base64")}:${sealed.toString("base64")}`;
}

export function decryptWith(key: Buffer, ciphertext: string): string {
  const [version, nonce, sealed] = ciphertext.split(":");
  if (version !== "v1" || nonce === undefined || sealed === undefined) {
    throw new WrongPassphraseError("a secret is not in the form v1:<nonce>:<ciphertext>");
  }
  const bytes = Buffer.from(sealed, "base64");
  const tag = bytes.subarray(-tagLength);
  try {
    const decipher = createDecipheriv(algorithm, key, Buffer.from(nonce, "base64"), { authTagLength: tagLength });
    decipher.setAuthTag(tag);
    return decipher.update(bytes.subarray(0, -tagLength), undefined, "utf8") + decipher.final("utf8");
  } catch (cause) {
    throw new WrongPassphraseError(
      "a secret cannot be decrypted: the passphrase is another than it was encrypted with",
      {
        cause,
      },
    );
  }
}
