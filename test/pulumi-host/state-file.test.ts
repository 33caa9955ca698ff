import assert from "node:assert/strict";
import fc from "fast-check";
import { Encryption, WrongPassphraseError } from "../../tools/pulumi-host/state/encryption";
import {
  secret,
  secretTexts,
  type PropertyMap,
  type PropertyValue,
} from "../../tools/pulumi-host/protocol/property-value";
import { decryptSecrets, encryptSecrets } from "../../tools/pulumi-host/state/state-file";

const encryption = new Encryption("a passphrase");

const properties = fc.letrec<{ value: PropertyValue; map: PropertyMap }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.string(),
    fc.double({ noNaN: true, noDefaultInfinity: true }).map((number) => number + 0),
    fc.boolean(),
    fc.constant(null),
    fc.array(tie("value"), { maxLength: 4 }),
    tie("map"),
    tie("value").map(secret),
  ),
  map: fc.dictionary(
    fc.string().filter((key) => key !== "__proto__"),
    tie("value"),
    { maxKeys: 4, noNullPrototype: true },
  ),
})).map;

describe("encryption", () => {
  it("decrypts its own ciphertexts", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => encryption.decrypt(encryption.encrypt(text)) === text),
    );
  });

  it("never repeats a ciphertext, and refuses other passphrases and changed ciphertexts", () => {
    const ciphertext = encryption.encrypt("secret");
    const last = ciphertext.at(-5) === "A" ? "B" : "A";
    const changed = `${ciphertext.slice(0, -5)}${last}${ciphertext.slice(-4)}`;
    assert.notEqual(encryption.encrypt("secret"), ciphertext);
    assert.throws(() => new Encryption("another", encryption.salt).decrypt(ciphertext), WrongPassphraseError);
    assert.throws(() => encryption.decrypt(changed), WrongPassphraseError);
    assert.equal(new Encryption("a passphrase", encryption.salt).decrypt(ciphertext), "secret");
  });
});

describe("secrets in a state", () => {
  it("are read back unchanged, and are not in the file in clear text", () => {
    fc.assert(
      fc.property(properties, (map) => {
        const text = JSON.stringify(encryptSecrets(map, encryption));
        assert.deepEqual(decryptSecrets(JSON.parse(text) as PropertyMap, encryption), JSON.parse(JSON.stringify(map)));
      }),
    );
    const hidden = { open: "visible", list: [{ deep: secret({ a: ["hidden-one"], b: "hidden-two" }) }] };
    const text = JSON.stringify(encryptSecrets(hidden, encryption));
    for (const word of secretTexts(hidden)) assert.ok(!text.includes(word));
    assert.ok(text.includes("visible"));
  });
});
