import assert from "node:assert/strict";
import fc from "fast-check";
import type pg from "pg";
import { qualify, quoteIdentifier, quoteLiteral, temporaryName } from "../../provider/src/postgres/identifiers";
import { EmbeddedServer } from "../support/servers/embedded-server";

describe("quoting", () => {
  let server: EmbeddedServer;
  let client: pg.Client;

  before(async () => {
    server = await EmbeddedServer.start({ major: 16 });
    client = await server.connect();
  });

  after(async () => {
    await client.end();
    await server.stop();
  });

  // Texts that a server can store: no NUL, no lone surrogates, at most 63 bytes for names.
  const text = fc.string({ unit: "binary", maxLength: 40 }).filter((value) => !value.includes("\0"));
  const name = text.filter((value) => value !== "" && Buffer.byteLength(value) <= 63);

  it("return every text unchanged when quoted as a literal", () =>
    fc.assert(
      fc.asyncProperty(text, async (value) => {
        const { rows } = await client.query<{ value: string }>(`SELECT ${quoteLiteral(value)}::text AS value`);
        assert.equal(rows[0]!.value, value);
      }),
      { numRuns: 200 },
    ));

  it("return every name unchanged when quoted as an identifier", () =>
    fc.assert(
      fc.asyncProperty(name, async (value) => {
        const { fields } = await client.query(`SELECT 1 AS ${quoteIdentifier(value)}`);
        assert.equal(fields[0]!.name, value);
      }),
      { numRuns: 200 },
    ));

  it("keep the end of a temporary name, which the server does not cut off", () => {
    assert.equal(temporaryName("short"), "short (renamed)");
    for (const long of ["n".repeat(63), "ü".repeat(31), `n${"ü".repeat(31)}`]) {
      const temporary = temporaryName(long);
      assert.match(temporary, /^[nü]+ \(renamed\)$/);
      assert(Buffer.byteLength(temporary) <= 63);
    }
  });

  it("join schema and name", () => {
    assert.equal(qualify('a"b', "c.d"), '"a""b"."c.d"');
  });
});
