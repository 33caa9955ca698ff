import type { Decoder, StreamMessage } from "../../../provider/src/cdc/model/change";
import type { Lsn } from "../../../provider/src/postgres/lsn";

const before = Buffer.from("of another message");
const after = Buffer.from("Nt\0\0\0\u0001 of the next one");

/** Decodes a payload that is surrounded by the bytes of other messages. The decoder must not read these. */
export function decodeWithin(decoder: Decoder, payload: Buffer, position: Lsn = 0n): StreamMessage {
  const bytes = Buffer.concat([before, payload, after]);
  return decoder.decode(bytes, before.length, before.length + payload.length, () => position);
}
