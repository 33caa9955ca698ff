import assert from "node:assert/strict";
import fc from "fast-check";
import { CopyFrames } from "../../provider/src/copy/copy-frames";
import { EngineError } from "../../provider/src/errors";

interface Message {
  readonly type: string;
  readonly body: Uint8Array;
}

function encode({ type, body }: Message): Buffer {
  const bytes = Buffer.alloc(5 + body.length);
  bytes.write(type, 0, "latin1");
  bytes.writeInt32BE(4 + body.length, 1);
  bytes.set(body, 5);
  return bytes;
}

/** Cuts bytes into chunks of the given lengths, repeatedly. */
function* cut(bytes: Buffer, lengths: readonly number[]): Generator<Buffer> {
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const length = lengths[i % lengths.length]!;
    yield bytes.subarray(at, at + length);
    at += length;
  }
}

describe("copy frames", () => {
  // Bodies contain bytes that look like headers, so that a parser at a wrong position fails.
  const body = fc.uint8Array({ maxLength: 40 }).map((bytes) => bytes.map((byte) => (byte % 3 === 0 ? 0x64 : byte)));
  const message = fc.record({ type: fc.constantFrom("d", "d", "d", "N", "S", "c", "C", "Z"), body });

  it("are separated from other messages wherever the stream is cut", () => {
    fc.assert(
      fc.property(
        fc.array(message, { maxLength: 30 }),
        fc.array(fc.integer({ min: 1, max: 64 }), { minLength: 1, maxLength: 10 }),
        (messages, lengths) => {
          const received: [string, Buffer][] = [];
          const frames = new CopyFrames({
            copyData: (bytes) => received.push(["data", bytes]),
            other: (bytes) => received.push(["other", bytes]),
          });
          for (const chunk of cut(Buffer.concat(messages.map(encode)), lengths)) frames.push(chunk);

          const isData = ({ type }: Message): boolean => type === "d";
          const of = (kind: string): Buffer =>
            Buffer.concat(received.filter(([each]) => each === kind).map(([, b]) => b));
          assert.deepEqual(of("data"), Buffer.concat(messages.filter(isData).map(encode)));
          assert.deepEqual(of("other"), Buffer.concat(messages.filter((each) => !isData(each)).map(encode)));
          assert.equal(frames.count, messages.filter(isData).length);
          assert.equal(frames.lackingBytes, 0);
          // The order is kept.
          assert.deepEqual(Buffer.concat(received.map(([, b]) => b)), Buffer.concat(messages.map(encode)));
        },
      ),
      { numRuns: 500 },
    );
  });

  it("report the missing bytes of a message that was cut", () => {
    const frames = new CopyFrames({ copyData: () => undefined, other: () => undefined });
    const bytes = encode({ type: "d", body: new Uint8Array(10) });
    frames.push(bytes.subarray(0, 3));
    assert.equal(frames.lackingBytes, 0);
    frames.push(bytes.subarray(3, 5));
    assert.equal(frames.lackingBytes, 10);
    frames.push(bytes.subarray(5, 9));
    assert.equal(frames.lackingBytes, 6);
    frames.push(bytes.subarray(9));
    assert.equal(frames.lackingBytes, 0);
  });

  it("with an impossible length are an error", () => {
    const frames = new CopyFrames({ copyData: () => undefined, other: () => undefined });
    assert.throws(() => frames.push(Buffer.from([0x64, 0, 0, 0, 3])), EngineError);
  });
});
