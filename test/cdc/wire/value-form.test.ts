import assert from "node:assert/strict";
import fc from "fast-check";
import { hasSameBinaryForm } from "../../../provider/src/cdc/model/value-form";
import { Stage } from "../apply/stage";
import { seed } from "../../support/seeded";

const text = fc.oneof(
  fc.string({ unit: "grapheme" }).map((value) => value.replaceAll("\0", "")),
  fc.constantFrom("", "\\N", "tab\tline\nreturn\rback\\", '{a,"b"}', "é".repeat(3000)),
);
const integer = (bits: bigint): fc.Arbitrary<string> =>
  fc.bigInt({ min: -(2n ** (bits - 1n)), max: 2n ** (bits - 1n) - 1n }).map(String);
const specialFloats = fc.constantFrom("-0", "NaN", "Infinity", "-Infinity", "0.1");
const day = fc
  .date({ min: new Date("1000-01-01"), max: new Date("9999-12-31"), noInvalidDate: true })
  .map((date) => date.toISOString());
const ofDay = fc.oneof(
  day.map((at) => at.slice(11, 23)),
  fc.constantFrom("24:00:00", "00:00:00.000001"),
);
const timestamp = fc.oneof(
  day,
  fc.constantFrom("infinity", "-infinity", "0044-03-15 12:00:00 BC", "294276-12-31 23:59:59.999999"),
);
const octet = fc.integer({ min: 0, max: 255 });
const address = fc.oneof(
  fc.tuple(octet, octet, octet, octet).map((octets) => octets.join(".")),
  fc.constantFrom("::1", "2001:db8::ff00:42:8329"),
);
const digits = fc.tuple(fc.bigInt({ min: -(10n ** 40n), max: 10n ** 40n }), fc.integer({ min: 0, max: 39 }));
const document = fc
  .json({ noUnicodeString: false })
  .filter((json) => !json.includes("\\u0000") && !json.includes("\0"));
const bits = fc.array(fc.constantFrom("0", "1"), { minLength: 9, maxLength: 9 }).map((all) => all.join(""));

/** Values for each type that is sent in binary form. */
const scalars: Readonly<Record<string, fc.Arbitrary<string>>> = {
  bool: fc.constantFrom("t", "f"),
  bytea: fc.uint8Array({ maxLength: 80 }).map((bytes) => `\\x${Buffer.from(bytes).toString("hex")}`),
  name: fc.stringMatching(/^[a-z" ]{1,40}$/),
  int8: integer(64n),
  int2: integer(16n),
  int4: integer(32n),
  text,
  oid: fc.integer({ min: 0, max: 4294967295 }).map(String),
  json: document.map((json) => ` ${json}`),
  cidr: fc.constantFrom("10.1.0.0/16", "0.0.0.0/0", "2001:db8::/32"),
  float4: fc.oneof(fc.float({ noNaN: true, noDefaultInfinity: true }).map(String), specialFloats),
  float8: fc.oneof(fc.double({ noNaN: true, noDefaultInfinity: true }).map(String), specialFloats),
  macaddr: fc.constantFrom("08:00:2b:01:02:03", "ff:ff:ff:ff:ff:ff"),
  inet: address,
  "char(5)": fc.constantFrom("", "ab", "é  x", "abcde"),
  "varchar(4)": fc.constantFrom("", "ab", "é\t\n ", "abcd"),
  date: fc.oneof(
    day.map((at) => at.slice(0, 10)),
    fc.constantFrom("infinity", "-infinity", "4713-01-01 BC"),
  ),
  time: ofDay,
  timestamp,
  timestamptz: timestamp,
  timetz: ofDay.map((at) => `${at}+03:30`),
  "bit(9)": bits,
  varbit: fc.oneof(bits, fc.constant("")),
  numeric: fc.oneof(
    digits.map(([value, scale]) => `${value}e-${scale}`),
    fc.constantFrom("NaN", "Infinity", "-Infinity", "0.00", "1.10", "1e-16000", "9e9000"),
  ),
  uuid: fc.uuid(),
  jsonb: document,
};

const notInArrays = ["name", "oid", "cidr", "macaddr", "inet", "time", "timetz", "bit(9)", "varbit"];
const quoted = (value: string | null): string =>
  value === null ? "NULL" : `"${value.replace(/["\\]/g, (character) => `\\${character}`)}"`;
const arrayOf = (element: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc.array(fc.option(element), { maxLength: 6 }).chain((all) => {
    const list = all.map(quoted).join(",");
    return all.length === 0
      ? fc.constant("{}")
      : fc.constantFrom(`{${list}}`, `[-2:-2][3:${all.length + 2}]={{${list}}}`);
  });

const types: readonly (readonly [type: string, values: fc.Arbitrary<string>])[] = [
  ...Object.entries(scalars),
  ...Object.entries(scalars)
    .filter(([type]) => !notInArrays.includes(type))
    .map(([type, values]) => [`${type}[]`, arrayOf(values)] as const),
];
const columns = types.map(([type], place) => `v${place} ${type}`).join(", ");
const ddl = `
  CREATE TABLE k (id int PRIMARY KEY, ${columns});
  CREATE TABLE f (id int, ${columns}); ALTER TABLE f REPLICA IDENTITY FULL;
  CREATE TABLE key (a numeric, b timestamptz, c uuid, d bytea, e float8, v text, PRIMARY KEY (a, b, c, d, e))`;
const rows = 40;

describe("values in binary and text form", () => {
  const servers = new Stage({ from: 14, to: 17 });

  const isStreamBinary = async (): Promise<boolean> => {
    const streams = await servers.source.query<{ query: string }>(
      "SELECT query FROM pg_stat_activity WHERE query LIKE 'START_REPLICATION%'",
    );
    assert.equal(streams.length, 1);
    return streams[0]!.query.includes(`"binary"`);
  };

  it("are tested for every type that has a binary form on both servers", async () => {
    const oids = await servers.source.query<{ oid: number }>("SELECT oid::int8::int4 FROM pg_type WHERE oid < 16384");
    const tested = await servers.source.query<{ oid: number }>(
      `SELECT t::regtype::oid::int8::int4 AS oid FROM unnest($1::text[]) t`,
      { values: [types.map(([type]) => type)] },
    );
    const sorted = (list: readonly { oid: number }[]): number[] => list.map(({ oid }) => oid).sort((a, b) => a - b);
    assert.deepEqual(sorted(tested), sorted(oids.filter(({ oid }) => hasSameBinaryForm(oid))));
  });

  for (const valueForm of ["binary", "text"] as const)
    it(`are equal on the target, bit for bit, in ${valueForm} form (seed ${seed})`, async () => {
      const scene = await servers.open(ddl);
      const session = await servers.source.connect(scene.database);
      const row = fc.tuple(...types.map(([, values]) => fc.option(values, { freq: 9 })));
      const places = ["$1", ...types.map((_, place) => `$${place + 2}`)].join(", ");
      const updated = types.map((_, place) => `v${place} = $${place + 2}`).join(", ");
      for (const [id, values] of fc.sample(row, { seed, numRuns: rows }).entries())
        for (const table of ["k", "f"]) await session.query(`INSERT INTO ${table} VALUES (${places})`, [id, ...values]);
      for (const [id, values] of fc.sample(row, { seed: seed + 1, numRuns: rows / 2 }).entries())
        for (const table of ["k", "f"])
          await session.query(`UPDATE ${table} SET ${updated} WHERE id = $1`, [id, ...values]);
      await session.query(
        "UPDATE k SET id = -id WHERE id % 3 = 0; DELETE FROM f WHERE id % 4 = 0; DELETE FROM k WHERE id % 5 = 0",
      );
      await session.query(`
        INSERT INTO key SELECT i / 7.0, timestamptz '2024-01-01' + i * interval '1 ms', md5(i::text)::uuid, decode(md5(i::text), 'hex'), i / 3.0::float8, 'v'
          FROM generate_series(-20, 20) i;
        UPDATE key SET a = a + 1 WHERE a > 0; UPDATE key SET v = NULL, e = '-0' WHERE a <= 0; DELETE FROM key WHERE a < -1`);
      await session.end();
      const follower = scene.follow(valueForm === "text" ? { valueForm } : {});
      await scene.mustBecomeEqual(follower);
      assert.equal(await isStreamBinary(), valueForm === "binary");
      for (const table of ["k", "f", "key"]) {
        const images = `SELECT encode(record_send(t), 'hex') AS image FROM ${table} t ORDER BY 1`;
        const expected = await scene.onSource(images);
        assert.ok(expected.length > 10);
        assert.deepEqual(await scene.onTarget(images), expected, table);
      }
    });

  it("change from binary to text when a table gets a column of a user's type, without lost or duplicate rows", async () => {
    const scene = await servers.open("CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE log (line text)");
    const follower = scene.follow();
    await scene.onSource("INSERT INTO t SELECT i, 'v' FROM generate_series(1, 100) i; INSERT INTO log VALUES ('a')");
    await scene.mustBecomeEqual(follower);
    assert.equal(await isStreamBinary(), true);
    const altered = "CREATE TYPE mood AS ENUM ('sad', 'ok'); ALTER TABLE t ADD m mood";
    await scene.onTarget(altered);
    await scene.onSource(`INSERT INTO log VALUES ('b'); ${altered}; INSERT INTO log VALUES ('b')`);
    await scene.onSource(
      "INSERT INTO log VALUES ('c'); UPDATE t SET m = 'ok', id = id + 1000 WHERE id < 50; INSERT INTO log VALUES ('c')",
    );
    await scene.mustBecomeEqual(follower);
    assert.equal(await isStreamBinary(), false);
  });

  it("are applied to a type that was recreated after statements with it were prepared", async () => {
    const scene = await servers.open(`CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE TYPE state AS ENUM ('sad', 'ok');
      CREATE TABLE t (id int PRIMARY KEY, m mood, s state); INSERT INTO t VALUES (1, 'sad', 'sad'), (2, 'ok', 'ok')`);
    const follower = scene.follow();
    await scene.onSource("UPDATE t SET m = 'ok', s = 'ok' WHERE id = 1");
    await scene.mustBecomeEqual(follower);
    const recreate = (type: string, column: string): string =>
      `ALTER TYPE ${type} RENAME TO old_${type}; CREATE TYPE ${type} AS ENUM ('ok', 'new');
       ALTER TABLE t ALTER ${column} TYPE ${type} USING ${column}::text::${type}`;
    await scene.onTarget(`${recreate("mood", "m")}; DROP TYPE old_mood`);
    await scene.onSource("UPDATE t SET m = 'ok' WHERE id = 2");
    await scene.mustBecomeEqual(follower);
    await scene.onTarget(recreate("state", "s"));
    await scene.onSource(
      `${recreate("mood", "m")}; ${recreate("state", "s")}; UPDATE t SET m = 'new', s = 'new' WHERE id = 2`,
    );
    await scene.mustBecomeEqual(follower);
  });

  it("are requested as text if the target's column has another type", async () => {
    const scene = await servers.open("CREATE TABLE t (id int PRIMARY KEY, v text)");
    await scene.onTarget("CREATE DOMAIN short AS text CHECK (length(value) < 9); ALTER TABLE t ALTER v TYPE short");
    await scene.onSource("INSERT INTO t VALUES (1, 'one'), (2, 'two'); UPDATE t SET v = 'three' WHERE id = 2");
    await scene.mustBecomeEqual(scene.follow());
    assert.equal(await isStreamBinary(), false);
  });

  it("are shown as text in the error of a change for which the target has no row", async () => {
    const scene = await servers.open("CREATE TABLE t (id int, at timestamp, v text, PRIMARY KEY (id, at))");
    const follower = scene.follow();
    await scene.onSource("INSERT INTO t VALUES (7, '2024-02-03 04:05:06', 'v'), (8, 'infinity', 'v')");
    await scene.mustBecomeEqual(follower);
    assert.equal(await isStreamBinary(), true);
    await scene.onTarget("DELETE FROM t WHERE id = 7");
    await scene.onSource("INSERT INTO t VALUES (9, 'infinity', 'v'); UPDATE t SET v = 'w'");
    await assert.rejects(follower.finished, /\(id, at\)=\(7, 2024-02-03 04:05:06\)/);
  });
});
