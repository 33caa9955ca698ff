import assert from "node:assert/strict";
import { seconds } from "../../tools/pulumi-host/engine/goal";
import { Mask } from "../../tools/pulumi-host/protocol/mask";
import { ignoreChanges, parsePropertyPath } from "../../tools/pulumi-host/protocol/property-path";
import {
  annotateSecrets,
  conceal,
  reveal,
  secret,
  unknownValue,
} from "../../tools/pulumi-host/protocol/property-value";

describe("property values", () => {
  it("are secret in an answer if they were secret in the inputs; lists are secret as a whole", () => {
    const inputs = { a: secret("x"), map: { b: secret("y"), c: "z" }, list: ["v", secret("w")], gone: secret("u") };
    const answer = { a: "x", map: { b: "y", c: "z", d: 1 }, list: ["v", "w"], more: true };
    assert.deepEqual(annotateSecrets(answer, inputs), {
      a: secret("x"),
      map: { b: secret("y"), c: "z", d: 1 },
      list: secret(["v", "w"]),
      more: true,
    });
  });

  it("can be shown with hidden secrets, and converted to clear text", () => {
    const value = { a: [secret({ b: secret("x") }), unknownValue] };
    assert.deepEqual(conceal(value), { a: ["[secret]", "output<string>"] });
    assert.deepEqual(reveal(value), { a: [{ b: "x" }, unknownValue] });
  });

  it("keep the old inputs below the paths of ignoreChanges", () => {
    const olds = { a: 1, tags: { x: 1 }, list: [{ n: 1, m: 1 }], kept: 1, hidden: secret({ p: 1, q: 1 }) };
    const news = {
      a: 2,
      tags: { x: 2, y: 2 },
      list: [{ n: 2, m: 2 }],
      kept: 2,
      added: 2,
      hidden: secret({ p: 2, q: 2 }),
    };
    const ignored = ignoreChanges(news, olds, ["a", "tags.*", 'list[0]["n"]', "added", "hidden.p"]);
    assert.deepEqual(ignored, {
      a: 1,
      tags: { x: 1 },
      list: [{ n: 1, m: 2 }],
      kept: 2,
      hidden: secret({ p: 1, q: 2 }),
    });
  });

  it("have paths of names, numbers and quoted names", () => {
    assert.deepEqual(parsePropertyPath('root.nested["double.\\"quoted"].list[12][*].end'), [
      "root",
      "nested",
      'double."quoted',
      "list",
      12,
      "*",
      "end",
    ]);
  });
});

describe("a mask", () => {
  it("hides longer secrets first, in escaped forms too, and ignores very short ones", () => {
    const mask = new Mask();
    for (const text of ["pass", "password-1", 'qu"ote', "no"]) mask.learn(text);
    assert.equal(mask.hide('pass password-1 {"x":"qu\\"ote"} no'), '[secret] [secret] {"x":"[secret]"} no');
  });
});

describe("a timeout", () => {
  it("is a sum of units, and other texts are refused", () => {
    assert.deepEqual(["1h30m", "1.5s", "250ms", ""].map(seconds), [5400, 1.5, 0.25, undefined]);
    assert.throws(() => seconds("5 minutes"), /not a duration/);
  });
});
