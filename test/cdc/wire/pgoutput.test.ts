import assert from "node:assert/strict";
import fc from "fast-check";
import { EngineError } from "../../../provider/src/errors";
import { type Tuple, absentField, endOf, nullField, startOf } from "../../../provider/src/cdc/model/change";
import { PgOutputDecoder } from "../../../provider/src/cdc/decode/pgoutput";
import { decodeWithin } from "./decode-within";

/** A field in a test: text, NULL, or an unchanged value that is not sent. */
type Field = string | null | undefined;

const byte = (value: number): Buffer => Buffer.from([value]);
const char = (value: string): Buffer => Buffer.from(value, "latin1");
const int16 = (value: number): Buffer => {
  const buffer = Buffer.alloc(2);
  buffer.writeInt16BE(value);
  return buffer;
};
const int32 = (value: number): Buffer => {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32BE(value >>> 0);
  return buffer;
};
const int64 = (value: bigint): Buffer => {
  const buffer = Buffer.alloc(8);
  buffer.writeBigUInt64BE(value);
  return buffer;
};
const text = (value: string): Buffer => Buffer.from(`${value}\0`);

function encodeTuple(fields: readonly Field[]): Buffer {
  const encoded = fields.map((field) => {
    if (field === undefined) return char("u");
    if (field === null) return char("n");
    const bytes = Buffer.from(field);
    return Buffer.concat([char("t"), int32(bytes.length), bytes]);
  });
  return Buffer.concat([int16(fields.length), ...encoded]);
}

const encodeRelation = (
  oid: number,
  schema: string,
  name: string,
  columns: readonly { name: string; key: boolean }[],
): Buffer =>
  Buffer.concat([
    ...[char("R"), int32(oid), text(schema), text(name), char("d"), int16(columns.length)],
    ...columns.flatMap((column) => [byte(column.key ? 1 : 0), text(column.name), int32(23), int32(-1)]),
  ]);

function fieldsOf(tuple: Tuple): Field[] {
  return Array.from({ length: tuple.fields }, (_, field) => {
    const start = startOf(tuple, field);
    if (start === absentField) return undefined;
    return start === nullField ? null : tuple.bytes.toString("utf8", start, endOf(tuple, field));
  });
}

const name = fc.stringMatching(/^[^\0]{1,20}$/u);
const field = fc.oneof(fc.string({ unit: "grapheme" }), fc.constant(null), fc.constant(undefined));
const sent = fc.oneof(fc.string({ unit: "grapheme" }), fc.constant(null));

describe("PgOutputDecoder", () => {
  it("decodes encoded changes", () => {
    const table = fc.record({
      oid: fc.integer({ min: 1, max: 0xffffffff }),
      schema: name,
      name,
      rows: fc.integer({ min: 0, max: 6 }).chain((width) =>
        fc.record({
          columns: fc.array(fc.record({ name, key: fc.boolean() }), { minLength: width, maxLength: width }),
          inserted: fc.array(sent, { minLength: width, maxLength: width }),
          updated: fc.array(field, { minLength: width, maxLength: width }),
          old: fc.array(sent, { minLength: width, maxLength: width }),
        }),
      ),
    });
    fc.assert(
      fc.property(table, ({ oid, schema, name: tableName, rows: { columns, inserted, updated, old } }) => {
        const decoder = new PgOutputDecoder();
        const described = decodeWithin(decoder, encodeRelation(oid, schema, tableName, columns));
        assert.ok(described.kind === "relation");
        const { relation } = described;
        assert.deepEqual([relation.schema, relation.name, relation.oid], [schema, tableName, oid]);
        assert.deepEqual(
          relation.columns.map((column) => ({ name: column.name, key: column.key })),
          columns.map((column) => ({ ...column })),
        );
        const insert = decodeWithin(decoder, Buffer.concat([char("I"), int32(oid), char("N"), encodeTuple(inserted)]));
        assert.ok(insert.kind === "insert" && insert.relation === relation);
        assert.deepEqual(fieldsOf(insert.row), inserted);
        for (const marker of ["K", "O"] as const) {
          const seen = old.map((value, index) =>
            marker === "O" || value !== null || columns[index]!.key ? value : undefined,
          );
          const oldPart = [char(marker), encodeTuple(old)];
          const update = decodeWithin(
            decoder,
            Buffer.concat([char("U"), int32(oid), ...oldPart, char("N"), encodeTuple(updated)]),
          );
          assert.ok(update.kind === "update");
          assert.deepEqual(fieldsOf(update.row), updated);
          assert.deepEqual(fieldsOf(update.old!), seen);
          const deletion = decodeWithin(decoder, Buffer.concat([char("D"), int32(oid), ...oldPart]));
          assert.ok(deletion.kind === "delete");
          assert.deepEqual(fieldsOf(deletion.old), seen);
        }
      }),
    );
  });

  it("decodes begin, commit and truncate", () => {
    const decoder = new PgOutputDecoder();
    const begin = decodeWithin(
      decoder,
      Buffer.concat([char("B"), int64(0x1_0000_0002n), int64(1_000_000n), int32(0xfffffffe)]),
    );
    const transaction = { xid: 0xfffffffe, commitLsn: 0x1_0000_0002n, commitTimeMs: 946_684_801_000 };
    assert.deepEqual(begin, { kind: "begin", transaction });
    const commit = decodeWithin(decoder, Buffer.concat([char("C"), byte(0), int64(1n), int64(2n), int64(0n)]));
    assert.deepEqual(commit, { kind: "commit", endLsn: 2n, commitTimeMs: 946_684_800_000 });
    decodeWithin(decoder, encodeRelation(1, "s", "a", []));
    decodeWithin(decoder, encodeRelation(2, "", "b", []));
    const truncate = decodeWithin(decoder, Buffer.concat([char("T"), int32(2), byte(3), int32(1), int32(2)]));
    assert.ok(truncate.kind === "truncate" && truncate.cascade && truncate.restartIdentity);
    assert.deepEqual(
      truncate.relations.map(({ schema, name: table }) => `${schema}.${table}`),
      ["s.a", "pg_catalog.b"],
    );
  });

  it("throws for invalid messages", () => {
    const decoder = new PgOutputDecoder();
    assert.throws(() => decodeWithin(decoder, Buffer.from("?")), EngineError);
    assert.throws(
      () => decodeWithin(decoder, Buffer.concat([char("I"), int32(9), char("N"), encodeTuple(["x"])])),
      /before describing/,
    );
    decodeWithin(decoder, encodeRelation(9, "s", "t", [{ name: "a", key: true }]));
    assert.throws(
      () => decodeWithin(decoder, Buffer.concat([char("I"), int32(9), char("N"), encodeTuple([])])),
      /0 fields/,
    );
    const whole = Buffer.concat([char("I"), int32(9), char("N"), encodeTuple(["long enough"])]);
    assert.throws(() => decodeWithin(decoder, whole.subarray(0, -3)), /cut off/);
  });
});
