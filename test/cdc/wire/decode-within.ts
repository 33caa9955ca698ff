import type { Decoder, StreamMessage } from "../../../provider/src/cdc/model/change";
import type { Lsn } from "../../../provider/src/postgres/lsn";

const before = Buffer.from("of another message");
const behind = Buffer.from("Nt\0\0\0\u0001 of the next one");

/** Decodes a payload where it lies among the bytes of others, which must not be read. */
export function decodeWithin(decoder: Decoder, payload: Buffer, position: Lsn = 0n): StreamMessage {
  const bytes = Buffer.concat([before, payload, behind]);
  return decoder.decode(bytes, before.length, before.length + payload.length, () => position);
}
