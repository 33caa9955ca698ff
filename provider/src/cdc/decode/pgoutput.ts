import { EngineError } from "../../errors.js";
import { type RelationName, quoteIdentifier } from "../../postgres/identifiers.js";
import type { Lsn } from "../../postgres/lsn.js";
import {
  type Decoder,
  type Relation,
  type StreamMessage,
  type Tuple,
  absentField,
  isSameShape,
  nullField,
} from "../model/change.js";
import { TextFormatRequired } from "../model/signals.js";
import { type ValueForm, hasSameBinaryForm } from "../model/value-form.js";

const ignored: StreamMessage = { kind: "ignored" };

/** 2000-01-01, PostgreSQL's epoch, in milliseconds since 1970. */
const epochMs = 946_684_800_000;

/** The options of START_REPLICATION for {@link PgOutputDecoder}. */
export const pgOutputOptions = (
  publications: readonly string[],
  form: ValueForm,
): Readonly<Record<string, string>> => ({
  proto_version: "1",
  publication_names: publications.map(quoteIdentifier).join(","),
  // Servers before 14 do not know the option.
  ...(form === "binary" ? { binary: "true" } : {}),
});

/**
 * Decodes pgoutput's protocol version 1 (manual, "Logical Replication Message Formats") with values of one form. It keeps
 * the relations that the stream has described, so each stream needs its own decoder.
 */
export class PgOutputDecoder implements Decoder {
  readonly #relations = new Map<number, Relation>();
  readonly #reader = new Reader();
  readonly #places = new Places();
  readonly #form: ValueForm;
  readonly #publishesGeneratedColumns: boolean;
  readonly #targetName: (relation: Relation) => RelationName;
  /** The byte that precedes a value. */
  readonly #valueLetter: number;

  /**
   * @param publishesGeneratedColumns see {@link Relation}
   * @param targetName the name that a relation gets; by default that of the stream
   */
  constructor(
    form: ValueForm = "text",
    publishesGeneratedColumns = false,
    targetName: (relation: Relation) => RelationName = (relation) => relation,
  ) {
    this.#form = form;
    this.#targetName = targetName;
    this.#publishesGeneratedColumns = publishesGeneratedColumns;
    this.#valueLetter = letter[form];
  }

  /** @throws TextFormatRequired before the first change of a table whose values need text form */
  decode(bytes: Buffer, start: number, end: number): StreamMessage {
    const reader = this.#reader;
    reader.over(bytes, start, end);
    const type = reader.char();
    switch (type) {
      case "I":
        return this.#insert(reader);
      case "U":
        return this.#update(reader);
      case "D":
        return this.#delete(reader);
      case "B":
        return begin(reader);
      case "C":
        return commit(reader);
      case "R":
        return this.#relation(reader);
      case "T":
        return this.#truncate(reader);
      // Origin, Type, Message: nothing that changes a table.
      case "O":
      case "Y":
      case "M":
        return ignored;
      default:
        throw new EngineError(`pgoutput sent a message of unknown type ${JSON.stringify(type)}`);
    }
  }

  #insert(reader: Reader): StreamMessage {
    const relation = this.#known(reader.uint32());
    reader.expect("N");
    return { kind: "insert", relation, row: this.#tuple(reader, relation, false) };
  }

  #update(reader: Reader): StreamMessage {
    const relation = this.#known(reader.uint32());
    let marker = reader.char();
    let old: Tuple | undefined;
    if (marker === "K" || marker === "O") {
      old = this.#tuple(reader, relation, marker === "K");
      marker = reader.char();
    }
    if (marker !== "N") throw new EngineError(`pgoutput sent an update whose new row starts with ${marker}`);
    return { kind: "update", relation, row: this.#tuple(reader, relation, false), old };
  }

  #delete(reader: Reader): StreamMessage {
    const relation = this.#known(reader.uint32());
    const marker = reader.char();
    if (marker !== "K" && marker !== "O")
      throw new EngineError(`pgoutput sent a delete whose row starts with ${marker}`);
    return { kind: "delete", relation, old: this.#tuple(reader, relation, marker === "K") };
  }

  #truncate(reader: Reader): StreamMessage {
    const count = reader.uint32();
    const options = reader.byte();
    const relations = Array.from({ length: count }, () => this.#known(reader.uint32()));
    return { kind: "truncate", relations, cascade: (options & 1) !== 0, restartIdentity: (options & 2) !== 0 };
  }

  #relation(reader: Reader): StreamMessage {
    const oid = reader.uint32();
    const schema = reader.text() || "pg_catalog";
    const name = reader.text();
    const replicaIdentity = reader.char();
    const columns = Array.from({ length: reader.int16() }, () => {
      const key = (reader.byte() & 1) !== 0;
      return { key, name: reader.text(), typeOid: reader.uint32(), typeModifier: reader.int32() };
    });
    if (this.#form === "binary" && !columns.every(({ typeOid }) => hasSameBinaryForm(typeOid)))
      throw new TextFormatRequired(`${schema}.${name} has a type without a binary form that both servers share`);
    const described = {
      ...{ oid, schema, name, replicaIdentity, columns },
      publishesGeneratedColumns: this.#publishesGeneratedColumns,
    };
    const onTarget = this.#targetName(described);
    const relation = { ...described, schema: onTarget.schema, name: onTarget.name };
    const known = this.#relations.get(oid);
    if (known && isSameShape(known, relation)) return { kind: "relation", relation: known };
    this.#relations.set(oid, relation);
    return { kind: "relation", relation };
  }

  /**
   * Records only the bounds of the fields. In a key tuple, pgoutput sends NULL for the columns outside the key. These are not
   * values: they become absent fields, otherwise NULLs would be written.
   */
  #tuple(reader: Reader, relation: Relation, keyOnly: boolean): Tuple {
    const fields = reader.int16();
    if (fields !== relation.columns.length)
      throw new EngineError(
        `pgoutput sent ${fields} fields for the ${relation.columns.length} columns of ${relation.name}`,
      );
    const at = this.#places.reserve(2 * fields);
    const { bounds } = this.#places;
    for (let field = 0; field < fields; field++) {
      const kind = reader.byte();
      let start = absentField;
      let end = absentField;
      if (kind === this.#valueLetter) {
        const length = reader.int32();
        start = reader.offset;
        end = start + length;
        reader.skip(length);
      } else if (kind === letter.null) {
        if (!keyOnly || relation.columns[field]!.key) start = end = nullField;
      } else if (kind !== letter.unchanged) {
        throw new EngineError(`pgoutput sent a field of unknown kind ${String.fromCharCode(kind)} in ${relation.name}`);
      }
      bounds[at + 2 * field] = start;
      bounds[at + 2 * field + 1] = end;
    }
    return { bytes: reader.bytes, bounds, at, fields, base: undefined };
  }

  #known(oid: number): Relation {
    const relation = this.#relations.get(oid);
    if (!relation) throw new EngineError(`pgoutput sent a change of relation ${oid} before describing it`);
    return relation;
  }
}

function begin(reader: Reader): StreamMessage {
  const commitLsn = reader.lsn();
  const commitTimeMs = reader.timeMs();
  return { kind: "begin", transaction: { xid: reader.uint32(), commitLsn, commitTimeMs } };
}

function commit(reader: Reader): StreamMessage {
  // Flags, and the start of the commit record.
  reader.skip(1 + 8);
  return { kind: "commit", endLsn: reader.lsn(), commitTimeMs: reader.timeMs() };
}

const letter = { text: 0x74, binary: 0x62, null: 0x6e, unchanged: 0x75 } as const;

const placesAtATime = 8192;

/** Space for the bounds of many rows in one array. Separate arrays would take most of a row's memory. */
class Places {
  bounds = new Int32Array(placesAtATime);
  #used = 0;

  /** Returns the index of the reserved places in `bounds`, which may be a new array. */
  reserve(places: number): number {
    if (this.#used + places > this.bounds.length) {
      this.bounds = new Int32Array(Math.max(placesAtATime, places));
      this.#used = 0;
    }
    const at = this.#used;
    this.#used += places;
    return at;
  }
}

class Reader {
  bytes: Buffer = Buffer.alloc(0);
  offset = 0;
  #end = 0;

  over(bytes: Buffer, start: number, end: number): void {
    this.bytes = bytes;
    this.offset = start;
    this.#end = end;
  }

  byte(): number {
    return this.bytes[this.#advance(1)]!;
  }

  char(): string {
    return String.fromCharCode(this.byte());
  }

  int16(): number {
    return this.bytes.readInt16BE(this.#advance(2));
  }

  int32(): number {
    return this.bytes.readInt32BE(this.#advance(4));
  }

  uint32(): number {
    return this.bytes.readUInt32BE(this.#advance(4));
  }

  lsn(): Lsn {
    return this.bytes.readBigUInt64BE(this.#advance(8));
  }

  timeMs(): number {
    // Microseconds as two numbers: a bigint would cost more than decoding the rest of the message.
    const high = this.int32();
    return (high * 0x1_0000_0000 + this.uint32()) / 1000 + epochMs;
  }

  text(): string {
    const end = this.bytes.indexOf(0, this.offset);
    if (end < 0 || end >= this.#end) throw new EngineError("pgoutput sent a name without an end");
    const text = this.bytes.toString("utf8", this.offset, end);
    this.offset = end + 1;
    return text;
  }

  skip(length: number): void {
    this.#advance(length);
  }

  expect(marker: string): void {
    const found = this.char();
    if (found !== marker) throw new EngineError(`pgoutput sent ${found} where ${marker} belongs`);
  }

  /** @throws EngineError if the range exceeds the message: the following bytes belong to another message */
  #advance(length: number): number {
    const at = this.offset;
    this.offset += length;
    if (length < 0 || this.offset > this.#end) throw new EngineError("pgoutput sent a message that is cut off");
    return at;
  }
}
