import assert from "node:assert/strict";
import fc from "fast-check";
import { EngineError } from "../../../provider/src/errors";
import { type Tuple, absentField, endOf, nullField, startOf } from "../../../provider/src/cdc/model/change";
import { TestDecodingDecoder } from "../../../provider/src/cdc/decode/test-decoding";
import { decodeWithin } from "./decode-within";
import type { Table } from "../../../provider/src/postgres/tables";

const quoted = (name: string): string => (/^[a-z_]+$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`);

interface Field {
  readonly name: string;
  readonly type: string;
  readonly key: boolean;
  /** Undefined for an unchanged TOAST value. */
  readonly value: string | null | undefined;
}

const printed = ({ name, type, value }: Field): string => {
  const text =
    value === null ? "null" : value === undefined ? "unchanged-toast-datum" : `'${value.replaceAll("'", "''")}'`;
  return ` ${quoted(name)}[${type}]:${text}`;
};

const tableOf = (schema: string, name: string, fields: readonly Field[], replicaIdentity: "default" | "full"): Table =>
  ({
    oid: 1,
    schema,
    name,
    replicaIdentity,
    columns: fields.map((field) => ({ name: field.name, typeOid: 25 })),
    identityColumns: fields.filter(({ key }) => key || replicaIdentity === "full").map((field) => field.name),
  }) as unknown as Table;

function valuesOf(tuple: Tuple): (string | null | undefined)[] {
  return Array.from({ length: tuple.fields }, (_, field) => {
    const start = startOf(tuple, field);
    if (start === absentField) return undefined;
    return start === nullField ? null : tuple.bytes.toString("utf8", start, endOf(tuple, field));
  });
}

const name = fc.oneof(
  fc.stringMatching(/^[a-z_]{1,8}$/),
  fc.string({ minLength: 1, maxLength: 8, unit: "grapheme" }).filter((text) => !text.includes("\0")),
);
const type = fc.constantFrom(
  "integer",
  "text[]",
  "timestamp without time zone",
  'public."my]type"',
  "character varying[]",
  '"x[y".z',
);
const value = fc.oneof(fc.string({ unit: "grapheme" }), fc.constant(null), fc.constant(undefined));
const fields = fc.uniqueArray(fc.record({ name, type, key: fc.boolean(), value }), {
  selector: (field) => field.name,
  maxLength: 6,
});

describe("TestDecodingDecoder", () => {
  it("decodes printed changes", () => {
    fc.assert(
      fc.property(
        name,
        name,
        fields,
        fc.constantFrom("default" as const, "full" as const),
        (schema, table, row, identity) => {
          const decoder = new TestDecodingDecoder([tableOf(schema, table, row, identity)]);
          const decode = (text: string) =>
            decodeWithin(decoder, Buffer.from(`table ${quoted(schema)}.${quoted(table)}: ${text}`), 7n);
          const whole = row.map(printed).join("");
          const insert = decode(`INSERT:${whole}`);
          assert.ok(insert.kind === "insert" && insert.relation.name === table && insert.relation.schema === schema);
          assert.deepEqual(
            valuesOf(insert.row),
            row.map((field) => field.value),
          );
          // An old row has its key, or all columns under FULL, without NULLs.
          const inOld = row.filter(
            (field) => (identity === "full" || field.key) && field.value !== null && field.value !== undefined,
          );
          if (inOld.length === 0) return;
          const seen = row.map((field) =>
            inOld.includes(field) ? field.value : identity === "full" ? null : undefined,
          );
          const update = decode(`UPDATE: old-key:${inOld.map(printed).join("")} new-tuple:${whole}`);
          assert.ok(update.kind === "update");
          assert.deepEqual(valuesOf(update.old!), seen);
          assert.deepEqual(
            valuesOf(update.row),
            row.map((field) => field.value),
          );
          const deletion = decode(`DELETE:${inOld.map(printed).join("")}`);
          assert.ok(deletion.kind === "delete");
          assert.deepEqual(valuesOf(deletion.old), seen);
        },
      ),
    );
  });

  it("decodes begin, commit and truncate, and ignores other tables", () => {
    const decoder = new TestDecodingDecoder([tableOf("s", "a", [], "default"), tableOf("s", "b", [], "default")]);
    const decode = (text: string) => decodeWithin(decoder, Buffer.from(text), 7n);
    assert.deepEqual(decode("BEGIN 529"), {
      kind: "begin",
      transaction: { xid: 529, commitLsn: undefined, commitTimeMs: undefined },
    });
    const commit = { kind: "commit", endLsn: 7n, commitTimeMs: Date.UTC(2026, 0, 2, 3, 4, 5, 678) };
    assert.deepEqual(decode("COMMIT 529 (at 2026-01-02 03:04:05.678901+00)"), commit);
    const truncate = decode("table s.a, s.other, s.b: TRUNCATE: restart_seqs cascade");
    assert.ok(truncate.kind === "truncate" && truncate.cascade && truncate.restartIdentity);
    assert.deepEqual(
      truncate.relations.map((relation) => relation.name),
      ["a", "b"],
    );
    const plain = decode("table s.a: TRUNCATE: (no-flags)");
    assert.ok(plain.kind === "truncate" && !plain.cascade && !plain.restartIdentity);
    assert.equal(decode("table s.other: INSERT: id[integer]:1").kind, "ignored");
    assert.equal(decode("message: transactional: 1 prefix: x, sz: 1 content:x").kind, "ignored");
  });

  it("throws for invalid lines", () => {
    const decoder = new TestDecodingDecoder([
      tableOf("s", "a", [{ name: "id", type: "integer", key: true, value: "1" }], "default"),
    ]);
    for (const line of [
      "?",
      "table s.a: MERGE: x",
      "table s.a: INSERT: id[integer]:'1",
      "table s.a: INSERT: id[integer",
      "table s.a: DELETE: (no-tuple-data)",
    ])
      assert.throws(() => decodeWithin(decoder, Buffer.from(line), 7n), EngineError, line);
  });
});
