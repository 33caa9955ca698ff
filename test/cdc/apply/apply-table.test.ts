import assert from "node:assert/strict";
import fc from "fast-check";
import type pg from "pg";
import { statementsFor } from "../../../provider/src/cdc/apply/table-statements";
import type { TableMapping } from "../../../provider/src/cdc/binding/table-mapping";
import { type Change, type Relation, type RowChange, type Tuple } from "../../../provider/src/cdc/model/change";
import { initProgress } from "../../../provider/src/cdc/target/progress";
import { RowStatements } from "../../../provider/src/cdc/apply/row-statements";
import { Staging } from "../../../provider/src/cdc/apply/staging";
import { openTargetSession } from "../../../provider/src/cdc/target/target-session";
import { EmbeddedServer } from "../../support/servers/embedded-server";
import { endpointOf } from "../scene";
import { type FieldText, tuple } from "../tuple";
import { openApplier } from "./open-applier";

/** More rows than are applied by single statements. */
const copies = 18;

const names = ["copy", "id", "v", "big", "n", "d", "number"];
const types = ["int", "int", "text", "text", "numeric(8,2)", "small", "int"];
const typeOids = [23, 23, 25, 25, 1700, 0, 23];

const relationOf = (name: string, replicaIdentity: "d" | "f"): Relation => ({
  ...{ oid: 1, schema: "public", name },
  ...{ replicaIdentity, publishesGeneratedColumns: false },
  columns: names.map((column, field) => ({
    name: column,
    key: replicaIdentity === "f" || field < 2,
    ...{ typeOid: typeOids[field]!, typeModifier: column === "n" ? (8 << 16) + 2 + 4 : -1 },
  })),
});

interface Row {
  readonly v: string | null;
  readonly big: string | null;
  readonly n: string | null;
  readonly d: string | null;
}

/** A statement on the source. If the rows do not allow it, the source publishes no change. */
type Command =
  | { readonly do: "insert"; readonly id: number; readonly row: Row }
  | { readonly do: "update"; readonly id: number; readonly to: number; readonly row: Row; readonly setsBig: boolean }
  | { readonly do: "delete"; readonly id: number };

const ids = fc.integer({ min: 1, max: 7 });
const rows: fc.Arbitrary<Row> = fc.record({
  v: fc.constantFrom(null, "", "a", "tab\t\\N 'quoted' \"ä\""),
  big: fc.constantFrom(null, "short", "long".repeat(1000), "longer than is copied ".repeat(2000)),
  n: fc.constantFrom(null, "1.50", "-7.00"),
  d: fc.constantFrom(null, "1", "-3"),
});
const commands: fc.Arbitrary<Command> = fc.oneof(
  fc.record({ do: fc.constant("insert" as const), id: ids, row: rows }),
  fc.record({
    ...{ do: fc.constant("update" as const), id: ids, row: rows, setsBig: fc.boolean() },
    to: fc.oneof(fc.constant(0), ids),
  }),
  fc.record({ do: fc.constant("delete" as const), id: ids }),
);

/** Rows that exist before the commands. */
const filled: fc.Arbitrary<Command[]> = fc
  .array(rows, { minLength: 4, maxLength: 4 })
  .map((list) => list.map((row, place) => ({ do: "insert", id: place + 1, row })));

/** A key update without the unchanged large value. It cannot be coalesced to a delete and an insert. */
const movedWithoutBig: [Command[], Command[][]] = (() => {
  const row = { v: "a", big: "long".repeat(1000), n: "1.50", d: null };
  const moved = { do: "update" as const, id: 1, to: 2, row: { ...row, v: "b" }, setsBig: false };
  return [[{ do: "insert", id: 1, row }], [[moved]]];
})();

/** A row before and after a command; undefined where it does not exist. */
interface Versions {
  readonly before: Row | undefined;
  readonly after: Row | undefined;
}

/** Executes commands on a simulated source table, and returns the published changes for each copy of a row. */
class SourceTable {
  readonly #relation: Relation;
  readonly #copies: number;
  readonly #rows = new Map<number, Row>();

  constructor(relation: Relation, rowsEach: number) {
    this.#relation = relation;
    this.#copies = rowsEach;
  }

  execute(command: Command): RowChange[] {
    const before = this.#rows.get(command.id);
    if ((command.do === "insert") !== (before === undefined)) return [];
    const to = command.do === "update" && command.to > 0 ? command.to : command.id;
    if (to !== command.id && this.#rows.has(to)) return [];
    this.#rows.delete(command.id);
    const keepsBig = command.do === "update" && !command.setsBig;
    const after = command.do === "delete" ? undefined : { ...command.row, ...(keepsBig ? { big: before!.big } : {}) };
    if (after) this.#rows.set(to, after);
    return Array.from({ length: this.#copies }, (_, copy) => this.#change(copy, command, to, { before, after }));
  }

  #change(copy: number, command: Command, to: number, { before, after }: Versions): RowChange {
    const relation = this.#relation;
    const values = (id: number, { v, big, n, d }: Row): FieldText[] => [
      String(copy),
      String(id),
      v,
      big,
      n,
      d,
      String(id),
    ];
    const old = (): Tuple =>
      relation.replicaIdentity === "f"
        ? tuple(values(command.id, before!))
        : tuple([String(copy), String(command.id), ...names.slice(2).map(() => undefined)]);
    if (command.do === "delete") return { kind: "delete", relation, old: old() };
    const row = values(to, after!);
    if (command.do === "insert") return { kind: "insert", relation, row: tuple(row) };
    // The stream omits only values that are stored in the TOAST table.
    if (!command.setsBig && (before!.big?.length ?? 0) > 2000) row[3] = undefined;
    const hasOld = relation.replicaIdentity === "f" || to !== command.id;
    return { kind: "update", relation, row: tuple(row), old: hasOld ? old() : undefined };
  }
}

describe("Applier, with random changes,", () => {
  let server: EmbeddedServer;
  let lsn = 10n;

  before(async () => {
    server = await EmbeddedServer.start({ major: 17 });
    await server.query("CREATE DOMAIN small AS int CHECK (VALUE < 100)");
  });
  after(() => server.stop());

  for (const [kind, replicaIdentity, constraints] of [
    ["with a key", "d", "ADD PRIMARY KEY (copy, id)"],
    ["without a key", "f", "REPLICA IDENTITY FULL"],
    [
      "with an identity column GENERATED ALWAYS",
      "d",
      `ADD PRIMARY KEY (copy, id), ALTER number SET NOT NULL, ALTER number ADD GENERATED ALWAYS AS IDENTITY`,
    ],
  ] as const)
    it(`gives tables ${kind} the same content with single statements as with staged rows`, async () => {
      const sent: string[] = [];
      let run = 0;
      await fc.assert(
        fc.asyncProperty(
          filled,
          fc.array(fc.array(commands, { minLength: 3, maxLength: 12 }), { maxLength: 4 }),
          async (first, more) => {
            const tables = [`few_${++run}`, `many_${run}`];
            for (const table of tables)
              await server.query(`CREATE TABLE ${table} (${names.map((name, at) => `${name} ${types[at]!}`).join(", ")});
                                ALTER TABLE ${table} ${constraints}`);
            const sources = tables.map(
              (table, at) => new SourceTable(relationOf(table, replicaIdentity), at ? copies : 1),
            );
            await apply(
              [first, ...more].map((batch) =>
                batch.flatMap((command) => sources.flatMap((source) => source.execute(command))),
              ),
              sent,
            );
            const [few, many] = await Promise.all(
              tables.map((table) => server.query(`SELECT t.*, n::text FROM ${table} t ORDER BY copy, id`)),
            );
            assert.deepEqual(
              many,
              Array.from({ length: copies }, (_, copy) => few!.map((row) => ({ ...row, copy }))).flat(),
            );
            await server.query(`DROP TABLE ${tables.join(", ")}; DROP SCHEMA pgmigration CASCADE`);
          },
        ),
        { numRuns: 12, endOnFailure: true, examples: [movedWithoutBig] },
      );
      const changing = sent.filter((text) => /^(WITH|UPDATE|DELETE)/.test(text));
      assert.ok(changing.some((text) => text.includes('"many_') && text.includes("pg_temp.")));
      assert.ok(changing.some((text) => text.includes('"few_') && /\$2::/.test(text)));
      // Without a key and an index, the table is scanned once for all rows, which are staged for it.
      if (replicaIdentity === "d")
        assert.ok(!changing.some((text) => text.includes('"few_') && text.includes("pg_temp.")));
    });

  async function apply(batches: readonly (readonly Change[])[], sent: string[]): Promise<void> {
    const session = await openTargetSession(endpointOf(server.login), "postgres");
    // Records the statements of a round trip from its Parse messages.
    const wire = (session as unknown as { connection: { parse: (statement: { text: string }) => void } }).connection;
    const parse = wire.parse.bind(wire);
    wire.parse = (statement) => {
      sent.push(statement.text);
      parse(statement);
    };
    try {
      await initProgress(session, "m", 1, { slot: "s", consistentPoint: lsn, systemIdentifier: "1", timeline: 1 });
      const applier = await openApplier(session);
      for (const changes of batches) {
        lsn += 10n;
        const transaction = { xid: Number(lsn), commitLsn: lsn - 1n, commitTimeMs: 0 };
        await applier.apply({
          segments: [{ transaction, first: true, changes, bytes: 0, end: { lsn, commitTimeMs: 0 } }],
        });
      }
    } finally {
      await session.end();
    }
  }
});

describe("the statements for a table's changes", () => {
  const relation = relationOf("t", "d");
  const ofText = { baseTypeSchema: "pg_catalog", baseType: "text" };
  const binding = {
    ...{ name: "t", only: "ONLY t", relation, columns: names.map((name) => ({ ...ofText, name })) },
    ...{ stored: names.map((_, field) => field), unmatched: [], key: [0, 1], equality: ["=", "="], sorted: [0, 1] },
    ...{ keyed: true, lookup: undefined, old: [0, 1], staging: 'pg_temp."staged"', staged: "inColumns" },
  } as unknown as TableMapping;
  const rowOf = (id: number, big: Buffer): Tuple => {
    const start = tuple(["0", String(id), null, null, null, null, null]);
    const bounds = [...(start.bounds as number[])];
    // The long value is in the same buffer, as in a chunk. The test does not read its content.
    bounds.splice(6, 2, start.bytes.length, start.bytes.length + big.length);
    return { ...start, bytes: big, bounds };
  };
  const textsFor = (part: { updates: readonly Tuple[] } | { sequential: readonly Tuple[] }): string[] => {
    const paths = {
      staging: new Staging(undefined as unknown as pg.Client, "binary"),
      single: new RowStatements("binary"),
    };
    const fields = names.map((_, field) => field);
    const statements = statementsFor(paths, {
      binding,
      parts: [
        "updates" in part
          ? { deletes: [], updates: [{ fields, rows: part.updates }], inserts: [], replacesRows: false }
          : {
              sequential: part.sequential.map((row, place) => ({
                ...{ binding, place, change: { kind: "update", relation, row, old: undefined } },
              })),
            },
      ],
    });
    return statements.map(({ statement }) => statement.text.split(" ")[0]!);
  };
  const short = Buffer.alloc(100);
  const long = Buffer.alloc(3000);

  it("are single statements for long rows among many, and staged for the others", () => {
    const rows = Array.from({ length: 40 }, (_, id) => rowOf(id, id % 20 === 7 ? long : short));
    assert.deepEqual(textsFor({ updates: rows }), ["COPY", "UPDATE", "UPDATE", "UPDATE"]);
    assert.deepEqual(
      textsFor({ updates: rows.slice(0, 16) }),
      Array.from({ length: 16 }, () => "UPDATE"),
    );
    assert.deepEqual(
      textsFor({ sequential: rows }),
      Array.from({ length: 40 }, () => "UPDATE"),
    );
  });

  it("are staged for a row that is too large for one message", () => {
    const huge = rowOf(1, Buffer.alloc(300 << 20));
    assert.deepEqual(textsFor({ updates: [huge] }), ["COPY", "UPDATE"]);
    assert.deepEqual(textsFor({ sequential: [huge, rowOf(2, short)] }), ["COPY", "UPDATE", "UPDATE"]);
  });

  it("truncate a staging table before a group's number is used again", () => {
    const staging = new Staging(undefined as unknown as pg.Client, "binary", 3);
    staging.make([binding]);
    const fill = (): string[] => {
      const row = rowOf(1, short);
      const filled = staging.fill(binding, [{ group: staging.nextGroup(), row, old: row }]);
      return filled.map(({ text }) => text.split(" ")[0]!);
    };
    assert.deepEqual([fill(), fill(), fill()], [["COPY"], ["COPY"], ["COPY"]]);
    assert.deepEqual([fill(), fill()], [["TRUNCATE", "COPY"], ["COPY"]]);
  });
});
