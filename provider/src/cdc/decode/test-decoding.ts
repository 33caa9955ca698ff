import { EngineError } from "../../errors.js";
import { qualify } from "../../postgres/identifiers.js";
import type { Lsn } from "../../postgres/lsn.js";
import type { Table } from "../../postgres/tables.js";
import {
  type Decoder,
  type Relation,
  type StreamMessage,
  type Tuple,
  absentField,
  nullField,
} from "../model/change.js";

const ignored: StreamMessage = { kind: "ignored" };

const quote = 0x27;
const doubleQuote = 0x22;
const space = 0x20;
const openBracket = 0x5b;
const closeBracket = 0x5d;

/** The options of START_REPLICATION for {@link TestDecodingDecoder}. */
export const testDecodingOptions = { "include-xids": "1", "include-timestamp": "1", "skip-empty-xacts": "0" } as const;

/**
 * Decodes the output of contrib's test_decoding, for sources without pgoutput (before 10). The output names neither the key
 * columns nor the NULLs of an old row, so the decoder needs the source's catalogue. test_decoding prints the changes of
 * every table. The decoder ignores tables that it was not given.
 */
export class TestDecodingDecoder implements Decoder {
  readonly #relations: ReadonlyMap<string, Relation>;
  readonly #altered = new Map<string, Relation>();

  /** @param tables the tables of the source whose changes are decoded */
  constructor(tables: readonly Table[]) {
    this.#relations = new Map(tables.map((table) => [qualify(table.schema, table.name), relationOf(table)]));
  }

  decode(bytes: Buffer, start: number, end: number, position: () => Lsn): StreamMessage {
    const payload = bytes.subarray(start, end);
    const reader = new TextReader(payload);
    if (reader.skipped("BEGIN ")) return begin(reader);
    if (reader.skipped("COMMIT ")) return commit(reader, position());
    if (!reader.skipped("table ")) {
      if (reader.skipped("message: ")) return ignored;
      throw new EngineError(`test_decoding sent a line that starts with ${payload.toString("latin1", 0, 20)}`);
    }
    const names = [reader.qualifiedName()];
    while (reader.skipped(", ")) names.push(reader.qualifiedName());
    reader.expect(": ");
    if (reader.skipped("TRUNCATE: ")) return this.#truncate(reader, names);
    const relation = this.#relations.get(names[0]!);
    if (!relation) return ignored;
    if (reader.skipped("INSERT:")) {
      const fields = reader.fields();
      const known = this.#matching(relation, fields);
      return { kind: "insert", relation: known, row: tupleOf(reader, known, fields, absentField) };
    }
    if (reader.skipped("UPDATE:")) return this.#update(reader, relation);
    reader.expect("DELETE:");
    if (reader.skipped(" (no-tuple-data)"))
      throw new EngineError(`test_decoding sent a DELETE in ${names[0]!} without the key of the row`, {
        remedy: `on the source, ALTER TABLE ${names[0]!} REPLICA IDENTITY FULL, or add a primary key; then delete this migration and start again`,
      });
    return { kind: "delete", relation, old: this.#oldTuple(reader, relation) };
  }

  #update(reader: TextReader, relation: Relation): StreamMessage {
    const old = reader.skipped(" old-key:") ? this.#oldTuple(reader, relation) : undefined;
    if (old) reader.expect(" new-tuple:");
    const fields = reader.fields();
    const known = this.#matching(relation, fields);
    return { kind: "update", relation: known, row: tupleOf(reader, known, fields, absentField), old };
  }

  /** test_decoding prints no NULLs here. In a complete row a missing field is NULL; in a key it is a column outside the key. */
  #oldTuple(reader: TextReader, relation: Relation): Tuple {
    return tupleOf(reader, relation, reader.fields(), relation.replicaIdentity === "f" ? nullField : absentField);
  }

  #truncate(reader: TextReader, names: readonly string[]): StreamMessage {
    const relations = names.flatMap((name) => this.#relations.get(name) ?? []);
    if (relations.length === 0) return ignored;
    const restartIdentity = reader.skipped("restart_seqs");
    reader.skipped(" ");
    return { kind: "truncate", relations, restartIdentity, cascade: reader.skipped("cascade") };
  }

  /** A new row has every column, in the catalogue's order. If the columns differ from the catalogue's, the table was altered. */
  #matching(relation: Relation, fields: readonly PrintedField[]): Relation {
    const same =
      fields.length === relation.columns.length &&
      relation.columns.every(({ name }, place) => fields[place]!.name === name);
    if (same) return relation;
    const shape = JSON.stringify([relation.oid, fields.map(({ name }) => name)]);
    const known = this.#altered.get(shape);
    if (known) return known;
    const columns = fields.map(
      ({ name }) =>
        relation.columns.find((column) => column.name === name) ?? {
          name,
          key: false,
          typeOid: 0,
          typeModifier: undefined,
        },
    );
    const altered = { ...relation, columns };
    this.#altered.set(shape, altered);
    return altered;
  }
}

function relationOf(table: Table): Relation {
  return {
    oid: table.oid,
    schema: table.schema,
    name: table.name,
    replicaIdentity: table.replicaIdentity.charAt(0),
    publishesGeneratedColumns: true,
    columns: table.columns.map(({ name, typeOid }) => ({
      name,
      key: table.identityColumns.includes(name),
      typeOid,
      typeModifier: undefined,
    })),
  };
}

function begin(reader: TextReader): StreamMessage {
  return { kind: "begin", transaction: { xid: reader.integer(), commitLsn: undefined, commitTimeMs: undefined } };
}

/** The LSN in the header of a commit message is the end of the commit record. */
function commit(reader: TextReader, endLsn: Lsn): StreamMessage {
  reader.integer();
  reader.expect(" (at ");
  const commitTimeMs = Date.parse(reader.rest().slice(0, -1).replace(" ", "T").replace(/\+00$/, "Z"));
  return { kind: "commit", endLsn, commitTimeMs };
}

interface PrintedField {
  readonly name: string;
  readonly start: number;
  readonly end: number;
}

function tupleOf(reader: TextReader, relation: Relation, fields: readonly PrintedField[], missing: number): Tuple {
  const byName = new Map(fields.map((field) => [field.name, field]));
  const bounds = relation.columns.flatMap(({ name }) => {
    const field = byName.get(name);
    return field ? [field.start, field.end] : [missing, missing];
  });
  return { bytes: reader.bytes, bounds, at: 0, fields: relation.columns.length, base: undefined };
}

/** Reads a line in place. It removes doubled quotes within the buffer, so that every field is a range of the line. */
class TextReader {
  readonly bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  skipped(text: string): boolean {
    if (this.bytes.toString("latin1", this.#at, this.#at + text.length) !== text) return false;
    this.#at += text.length;
    return true;
  }

  expect(text: string): void {
    if (this.skipped(text)) return;
    const found = this.bytes.toString("utf8", this.#at, this.#at + 20);
    throw new EngineError(`test_decoding sent ${JSON.stringify(found)} where ${JSON.stringify(text)} belongs`);
  }

  integer(): number {
    let value = 0;
    for (; isDigit(this.bytes[this.#at]); this.#at++) value = value * 10 + (this.bytes[this.#at]! - 0x30);
    return value;
  }

  rest(): string {
    return this.bytes.toString("utf8", this.#at);
  }

  qualifiedName(): string {
    const schema = this.#identifier(0x2e);
    this.expect(".");
    return qualify(schema, this.#identifier(0x3a, 0x2c));
  }

  /** Reads fields of the form ` name[type]:value`, up to the end of the line or the start of the new row. */
  fields(): PrintedField[] {
    const fields: PrintedField[] = [];
    while (!this.#startsNewTuple() && this.skipped(" ")) {
      const name = this.#identifier(openBracket);
      this.#type();
      this.expect(":");
      fields.push({ name, ...this.#value() });
    }
    return fields;
  }

  #startsNewTuple(): boolean {
    return this.bytes.toString("latin1", this.#at, this.#at + 11) === " new-tuple:";
  }

  #identifier(...ends: readonly number[]): string {
    if (this.bytes[this.#at] !== doubleQuote) {
      const start = this.#at;
      while (this.#at < this.bytes.length && !ends.includes(this.bytes[this.#at]!)) this.#at++;
      return this.bytes.toString("utf8", start, this.#at);
    }
    const { start, end } = this.#quoted(doubleQuote);
    return this.bytes.toString("utf8", start, end);
  }

  /** A type's name may contain brackets: in pairs, or within double quotes. */
  #type(): void {
    this.expect("[");
    for (let depth = 1; depth > 0; this.#at++) {
      const byte = this.bytes[this.#at];
      if (byte === undefined) throw new EngineError("test_decoding sent a line that is cut off");
      if (byte === doubleQuote) {
        this.#at = this.bytes.indexOf(doubleQuote, this.#at + 1);
        if (this.#at < 0) throw new EngineError("test_decoding sent a type's name without an end");
      }
      if (byte === openBracket) depth++;
      if (byte === closeBracket) depth--;
    }
  }

  #value(): { start: number; end: number } {
    if (this.skipped("B'")) this.#at--;
    if (this.bytes[this.#at] === quote) return this.#quoted(quote);
    const start = this.#at;
    while (this.#at < this.bytes.length && this.bytes[this.#at] !== space) this.#at++;
    const word = this.bytes.toString("latin1", start, this.#at);
    if (word === "null") return { start: nullField, end: nullField };
    if (word === "unchanged-toast-datum") return { start: absentField, end: absentField };
    return { start, end: this.#at };
  }

  #quoted(mark: number): { start: number; end: number } {
    const start = ++this.#at;
    let end = start;
    for (;;) {
      const byte = this.bytes[this.#at++];
      if (byte === undefined) throw new EngineError("test_decoding sent a value without an end");
      if (byte === mark && this.bytes[this.#at] !== mark) return { start, end };
      if (byte === mark) this.#at++;
      this.bytes[end++] = byte;
    }
  }
}

const isDigit = (byte: number | undefined): boolean => byte !== undefined && byte >= 0x30 && byte <= 0x39;
