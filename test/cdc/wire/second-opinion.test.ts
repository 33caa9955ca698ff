import assert from "node:assert/strict";
import { LogicalReplicationService, PgoutputPlugin } from "pg-logical-replication";
import type { StreamMessage, Tuple } from "../../../provider/src/cdc/model/change";
import { endOf, nullField, startOf } from "../../../provider/src/cdc/model/change";
import { PgOutputDecoder } from "../../../provider/src/cdc/decode/pgoutput";
import { EmbeddedServer } from "../../support/servers/embedded-server";
import { until } from "../../support/until";

type Message = ReturnType<PgoutputPlugin["parse"]>;

/** Decodes each message with pg-logical-replication and with PgOutputDecoder. */
class BothDecoders extends PgoutputPlugin {
  readonly pairs: { theirs: Message; ours: StreamMessage }[] = [];
  readonly #decoder = new PgOutputDecoder();

  override parse(buffer: Buffer): Message {
    const ours = this.#decoder.decode(Buffer.from(buffer), 0, buffer.length);
    const theirs = super.parse(buffer);
    this.pairs.push({ theirs, ours });
    return theirs;
  }
}

describe("PgOutputDecoder, compared with pg-logical-replication,", () => {
  let server: EmbeddedServer;

  before(async () => {
    server = await EmbeddedServer.start({ major: 16, parameters: { wal_level: "logical" } });
  });

  after(() => server.stop());

  it("decodes a stream to the same changes", async () => {
    await server.query(`
      CREATE TABLE "Items" (id int PRIMARY KEY, name text, "Note" text);
      CREATE TABLE whole (a text, b text); ALTER TABLE whole REPLICA IDENTITY FULL;
      CREATE PUBLICATION second_opinion FOR TABLE "Items", whole`);
    await server.query(`SELECT pg_create_logical_replication_slot('second_opinion', 'pgoutput')`);
    await server.query(`
      INSERT INTO "Items" SELECT i, 'name ' || i, CASE WHEN i % 3 = 0 THEN NULL ELSE repeat('ü\\', i) END FROM generate_series(1, 50) i;
      UPDATE "Items" SET name = name || '!' WHERE id % 2 = 0;
      UPDATE "Items" SET id = id + 1000 WHERE id < 5;
      DELETE FROM "Items" WHERE id BETWEEN 10 AND 20;
      INSERT INTO whole VALUES ('x', NULL), ('x', NULL), (NULL, ''); UPDATE whole SET b = 'y' WHERE a = 'x'; DELETE FROM whole;
      TRUNCATE "Items", whole`);
    const pairs = await readAll(server);
    const changes = pairs.filter(({ theirs }) => ["insert", "update", "delete", "truncate"].includes(theirs.tag));
    assert(changes.length > 80);
    for (const { theirs, ours } of pairs) assert.deepEqual(asRecord(ours), expected(theirs));
    // The library closes its connection without waiting for the end of the walsender.
    await until("its walsender has ended", async () => {
      const [slot] = await server.query<{ active: boolean }>("SELECT active FROM pg_replication_slots");
      return slot?.active === false;
    });
    await server.query("SELECT pg_drop_replication_slot('second_opinion'); DROP PUBLICATION second_opinion");
  });
});

async function readAll(server: EmbeddedServer): Promise<BothDecoders["pairs"]> {
  const plugin = new BothDecoders({ protoVersion: 1, publicationNames: ["second_opinion"] });
  const service = new LogicalReplicationService(
    { ...server.login, database: "postgres" },
    { acknowledge: { auto: false, timeoutSeconds: 0 } },
  );
  const streaming = service.subscribe(plugin, "second_opinion");
  try {
    await until(
      "the truncation is received",
      () => plugin.pairs.at(-1)?.theirs.tag === "commit" && plugin.pairs.length > 80,
    );
  } finally {
    await service.stop();
    await streaming;
  }
  return plugin.pairs;
}

type Row = Record<string, string | null>;

const named = (names: readonly string[], tuple: Tuple): Row =>
  Object.fromEntries(
    names.map((name, field) => {
      const start = startOf(tuple, field);
      const isText = start >= 0;
      assert(isText || start <= nullField);
      return [name, isText ? tuple.bytes.toString("utf8", start, endOf(tuple, field)) : null];
    }),
  );

/** An old key is sent as a row with NULL outside the key. The library omits these fields. */
const withoutNulls = (row: Row | undefined): Row | undefined =>
  row && Object.fromEntries(Object.entries(row).filter(([, value]) => value !== null));

/** Values as text. The library has null for values that the stream omits. */
const asText = (row: Record<string, unknown> | null | undefined): Row | undefined =>
  row
    ? Object.fromEntries(
        Object.entries(row).map(([name, value]) => [name, value === null ? null : String(value as string | number)]),
      )
    : undefined;

function asRecord(message: StreamMessage): unknown {
  if (!("relation" in message) || message.kind === "relation") {
    if (message.kind === "truncate") return { kind: "truncate", tables: message.relations.map(({ name }) => name) };
    return { kind: message.kind };
  }
  const names = message.relation.columns.map(({ name }) => name);
  return {
    kind: message.kind,
    table: message.relation.name,
    row: "row" in message ? named(names, message.row) : undefined,
    old: "old" in message && message.old ? withoutNulls(named(names, message.old)) : undefined,
  };
}

function expected(message: Message): unknown {
  switch (message.tag) {
    case "insert":
      return { kind: "insert", table: message.relation.name, row: asText(message.new), old: undefined };
    case "update":
      return {
        kind: "update",
        table: message.relation.name,
        row: asText(message.new),
        old: withoutNulls(asText(message.old ?? message.key)),
      };
    case "delete":
      return {
        kind: "delete",
        table: message.relation.name,
        row: undefined,
        old: withoutNulls(asText(message.old ?? message.key)),
      };
    case "truncate":
      return { kind: "truncate", tables: message.relations.map(({ name }) => name) };
    case "begin":
    case "commit":
    case "relation":
      return { kind: message.tag };
    default:
      return { kind: "ignored" };
  }
}
