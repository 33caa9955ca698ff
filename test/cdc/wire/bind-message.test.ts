import assert from "node:assert/strict";
import fc from "fast-check";
import { BoundValues, type Parameter } from "../../../provider/src/cdc/wire/bind-message";
import { EngineError } from "../../../provider/src/errors";
import { type FieldText, tuple } from "../tuple";
import type { Tuple } from "../../../provider/src/cdc/model/change";

const inMessage = (values: readonly FieldText[], base?: Tuple): Tuple => tuple(values, base, "before");

/** Parses the message (manual, "Message Formats", Bind). */
function read(message: Buffer): { names: string[]; forms: number[]; values: (string | null)[] } {
  assert.equal(String.fromCharCode(message[0]!), "B");
  assert.equal(message.readInt32BE(1), message.length - 1);
  let at = 5;
  const text = (): string => {
    const end = message.indexOf(0, at);
    const read = message.toString("utf8", at, end);
    at = end + 1;
    return read;
  };
  const int16 = (): number => message.readUInt16BE((at += 2) - 2);
  const names = [text(), text()];
  const forms = Array.from({ length: int16() }, int16);
  const values = Array.from({ length: int16() }, () => {
    const length = message.readInt32BE((at += 4) - 4);
    return length < 0 ? null : message.toString("utf8", at, (at += length));
  });
  assert.equal(int16(), 0);
  assert.equal(at, message.length);
  return { names, forms, values };
}

describe("BoundValues", () => {
  const field = fc.option(fc.oneof(fc.string({ unit: "grapheme" }), fc.constant("long ".repeat(10_000))));

  it("sends values unchanged, from the first state of the row that has them", () => {
    const fields = fc.array(fc.record({ before: field, now: fc.option(field, { nil: undefined }) }), { maxLength: 6 });
    fc.assert(
      fc.property(fields, fc.constantFrom("text" as const, "binary" as const), (row, form) => {
        const old = inMessage(row.map(({ before }) => before));
        const now = inMessage(
          row.map(({ now }) => now),
          old,
        );
        const parameters: Parameter[] = row.flatMap((_, field) => [
          { of: "old", field },
          { of: "row", field },
        ]);
        const message = Buffer.concat(new BoundValues(form, parameters, { row: now, old }).messageFor("s"));
        assert.deepEqual(read(message), {
          names: ["", "s"],
          forms: [form === "binary" ? 1 : 0],
          values: row.flatMap(({ before, now }) => [before, now === undefined ? before : now]),
        });
      }),
    );
  });

  it("does not copy a long value", () => {
    const row = inMessage(["short", "x".repeat(40_000), "short"]);
    const parameters = [0, 1, 2].map((field): Parameter => ({ of: "row", field }));
    const { pieces } = new BoundValues("text", parameters, { row, old: undefined });
    assert.equal(pieces.filter(({ buffer }) => buffer === row.bytes.buffer).length, 1);
  });

  it("throws for a row that lacks a value", () => {
    const row = inMessage(["present", undefined]);
    assert.throws(() => new BoundValues("text", [{ of: "row", field: 1 }], { row, old: undefined }), EngineError);
    assert.throws(() => new BoundValues("text", [{ of: "old", field: 0 }], { row, old: undefined }), EngineError);
  });
});
