import assert from "node:assert/strict";
import fc from "fast-check";
import { EngineError } from "../../../provider/src/errors";
import { MessageSplitter } from "../../../provider/src/cdc/reader/message-splitter";

interface Message {
  readonly type: string;
  readonly content: string;
}

function encode({ type, content }: Message): Buffer {
  const bytes = Buffer.from(content);
  const header = Buffer.alloc(5);
  header.write(type, 0, "latin1");
  header.writeInt32BE(4 + bytes.length, 1);
  return Buffer.concat([header, bytes]);
}

describe("MessageSplitter", () => {
  const type = fc.constantFrom("d", "d", "d", "Z", "c");

  it("returns the messages that were sent, for any chunks", () => {
    const message = fc.record({ type, content: fc.string({ maxLength: 40 }) }, { noNullPrototype: true });
    const cuts = fc.array(fc.nat({ max: 300 }), { maxLength: 12 });
    fc.assert(
      fc.property(fc.array(message, { maxLength: 12 }), cuts, (sent, places) => {
        const received: Message[] = [];
        const splitter = new MessageSplitter(
          (bytes, start, end) => received.push({ type: "d", content: bytes.toString("utf8", start, end) }),
          (bytes) => {
            assert.equal(bytes.readInt32BE(1), bytes.length - 1);
            received.push({ type: String.fromCharCode(bytes[0]!), content: bytes.toString("utf8", 5) });
          },
        );
        const stream = Buffer.concat(sent.map(encode));
        let from = 0;
        for (const to of [...places.filter((place) => place < stream.length).sort((a, b) => a - b), stream.length]) {
          splitter.push(stream.subarray(from, to));
          from = to;
        }
        assert.deepEqual(received, sent);
      }),
      { numRuns: 1000 },
    );
  });

  it("throws for an invalid length", () => {
    const splitter = new MessageSplitter(
      () => undefined,
      () => undefined,
    );
    assert.throws(() => splitter.push(Buffer.from([0x64, 0, 0, 0, 3, 0])), EngineError);
  });
});
