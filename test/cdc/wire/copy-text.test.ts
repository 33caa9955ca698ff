import assert from "node:assert/strict";
import type { Tuple } from "../../../provider/src/cdc/model/change";
import { CopyText } from "../../../provider/src/cdc/wire/copy-text";

describe("CopyText", () => {
  const tupleOf = (text: string): Tuple => {
    const bytes = Buffer.from(text);
    return { bytes, bounds: [0, bytes.length], at: 0, fields: 1, base: undefined };
  };
  /** The content of the messages, which may consist of several pieces. */
  const contentOf = (pieces: readonly Buffer[]): string => {
    const stream = Buffer.concat(pieces);
    const parts: Buffer[] = [];
    for (let at = 0; at < stream.length; at += 1 + stream.readInt32BE(at + 1)) {
      assert.equal(stream[at], 0x64);
      parts.push(stream.subarray(at + 5, at + 1 + stream.readInt32BE(at + 1)));
    }
    return Buffer.concat(parts).toString();
  };
  const escaped = (text: string): string =>
    text.replace(/[\\\t\n\r]/g, (c) => ({ "\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r" })[c]!);

  it("writes every byte of long and short fields, escaped, across messages", () => {
    const values = [0, 1, 507, 512, 2048, 16_384, 70_000, 200_000].map((length) => "a\t\\é\n\r".repeat(length / 6 + 1));
    const text = new CopyText();
    for (const [place, value] of values.entries()) {
      text.integer(place);
      text.field(tupleOf(value), 0);
      text.null();
      text.endLine();
    }
    const content = contentOf(text.messages());
    assert.equal(content, values.map((value, place) => `${place}\t${escaped(value)}\t\\N\n`).join(""));
  });

  it("does not copy the parts of a long field that need no escapes", () => {
    const value = `\\x${"0123456789abcdef".repeat(1 << 18)}`;
    const row = tupleOf(value);
    const text = new CopyText();
    text.integer(1);
    text.field(row, 0);
    text.integer(2);
    text.field(tupleOf("short"), 0);
    text.endLine();
    const messages = text.messages();
    assert.equal(contentOf(messages), `1\t\\${value}\t2\tshort\n`);
    const own = messages.filter(({ buffer }) => buffer !== row.bytes.buffer);
    const bytes = own.reduce((sum, message) => sum + message.length, 0);
    assert.ok(bytes < value.length / 10, `${bytes} bytes`);
  });

  it("takes little memory for one line for each of thousands of tables", () => {
    const buffers = new Set<ArrayBufferLike>();
    const kept = Array.from({ length: 20_000 }, (_, table) => {
      const text = new CopyText();
      text.integer(table);
      text.endLine();
      return text.messages();
    });
    for (const message of kept.flat()) buffers.add(message.buffer);
    const bytes = [...buffers].reduce((sum, buffer) => sum + buffer.byteLength, 0);
    assert.ok(bytes < 20e6, `${bytes} bytes`);
  });
});
