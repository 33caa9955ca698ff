import assert from "node:assert/strict";
import { CopyRate } from "../../provider/src/copy/copy-rate";
import { copyLargeObjects } from "../../provider/src/copy/large-objects";
import { RefusedError } from "../../provider/src/errors";
import { largeObjectEntries } from "../../provider/src/schema/plan/large-object-entries";
import { readRestoreContext } from "../../provider/src/schema/restore/restore-context";
import { restoreEntries } from "../../provider/src/schema/restore/restore";
import { compareLargeObjects } from "../../provider/src/verify/compare-large-objects";
import { administrator, startAzureLikeServer } from "../support/servers/azure-like";
import { EmbeddedServer } from "../support/servers/embedded-server";
import { connect } from "../../provider/src/postgres/connection/connect";
import { ManualClock } from "./manual-clock";
import { freshDatabase, open } from "./pairs";

describe("large objects", () => {
  let source: EmbeddedServer;
  let azure: Awaited<ReturnType<typeof startAzureLikeServer>>;
  before(async () => {
    [source, azure] = await Promise.all([EmbeddedServer.start({ major: 14 }), startAzureLikeServer({ major: 18 })]);
  });
  after(() => Promise.all([source.stop(), azure.server.stop()]));

  const target = (database: string) =>
    connect({ ...azure.administrator, sslMode: "Disable" }, { database, purpose: "test" });
  const content =
    "SELECT oid::text, md5(lo_get(oid)) AS md5, length(lo_get(oid)) AS length FROM pg_largeobject_metadata ORDER BY oid";

  it("are copied completely under their OIDs, also a second time, followed by permitted owners and privileges", async () => {
    const database = await freshDatabase(
      source,
      `SELECT lo_from_bytea(1000 + i, decode(repeat(md5(i::text), i), 'hex')) FROM generate_series(0, 199) i`,
      `SELECT lo_from_bytea(4294967295, decode(repeat('00ff5c27', 200000), 'hex'));
       SELECT lo_from_bytea(2000, decode(repeat('ab', 262144), 'hex'));
       SELECT lo_put(lo_create(2001), 600000, 'after a hole')`,
      `CREATE ROLE there; CREATE ROLE elsewhere; CREATE ROLE ${administrator};
       ALTER LARGE OBJECT 1001 OWNER TO there; ALTER LARGE OBJECT 1002 OWNER TO elsewhere;
       ALTER LARGE OBJECT 1003 OWNER TO ${administrator}; GRANT SELECT ON LARGE OBJECT 1003 TO there`,
    );
    await azure.server.query(`CREATE ROLE there; GRANT there TO ${administrator} WITH SET TRUE; CREATE ROLE elsewhere`);
    const targetDatabase = await freshDatabase(azure.server);
    const from = await open(source, database);
    const into = await target(targetDatabase);
    try {
      const expected = (await from.query(content)).rows;
      for (let round = 0; round < 2; round++) {
        const progress: number[] = [];
        const copied = await copyLargeObjects(from, into, { onProgress: (objects) => progress.push(objects) });
        assert.equal(copied.objects, 203);
        assert.equal(progress.at(-1), 203);
        assert.deepEqual(await azure.server.query(content, { database: targetDatabase }), expected);
      }
      assert.equal((await compareLargeObjects(from, into))?.equal, true);
      const context = await readRestoreContext(into);
      const findings = await restoreEntries(into, await largeObjectEntries(from), context);
      assert.match(findings.map(({ message }) => message).join(), /may not give objects to elsewhere/);
      const access = `SELECT oid::int, lomowner::regrole::text AS owner, lomacl::text AS acl FROM pg_largeobject_metadata
        WHERE oid IN (1001, 1002, 1003) ORDER BY 1`;
      assert.deepEqual((await into.query(access)).rows, [
        { oid: 1001, owner: "there", acl: null },
        { oid: 1002, owner: administrator, acl: null },
        { oid: 1003, owner: administrator, acl: `{${administrator}=rw/${administrator},there=r/${administrator}}` },
      ]);
    } finally {
      await Promise.all([from.end(), into.end()]);
    }
  });

  it("that differ, are missing or are unexpected are reported", async () => {
    const [one, other] = await Promise.all([
      freshDatabase(source, "SELECT lo_from_bytea(7, 'same'), lo_from_bytea(8, 'one'), lo_create(9)"),
      freshDatabase(azure.server, "SELECT lo_from_bytea(7, 'same'), lo_from_bytea(8, 'two'), lo_create(10)"),
    ]);
    const from = await open(source, one);
    const into = await open(azure.server, other);
    try {
      const { firstDifferences, ...result } = (await compareLargeObjects(from, into))!;
      assert.deepEqual([result.equal, result.sourceRows, result.targetRows], [false, 3, 3]);
      assert.deepEqual(firstDifferences.map(({ kind, key }) => `${kind} ${key}`).sort(), [
        "different oid=8",
        "missing oid=9",
        "unexpected oid=10",
      ]);
    } finally {
      await Promise.all([from.end(), into.end()]);
    }
  });

  it("are read no faster than their rate allows, and a wait for it can be canceled", async () => {
    // The two halves of the object are two reads.
    const database = await freshDatabase(source, "SELECT lo_from_bytea(7, decode(repeat('ab', 500000), 'hex'))");
    const targetDatabase = await freshDatabase(azure.server);
    const from = await open(source, database);
    const into = await target(targetDatabase);
    try {
      const abort = new AbortController();
      const reason = new Error("canceled");
      const stopped = new CopyRate(() => 100_000, new ManualClock());
      const canceled = copyLargeObjects(from, into, { rate: stopped, signal: abort.signal });
      setTimeout(() => abort.abort(reason), 300);
      await assert.rejects(canceled, reason);
      assert.equal((await into.query("SELECT FROM pg_largeobject_metadata")).rowCount, 0);
      const clock = new ManualClock();
      const copied = copyLargeObjects(from, into, { rate: new CopyRate(() => 100_000, clock) });
      let isOver = false;
      void copied.finally(() => (isOver = true));
      let seconds = 0;
      for (; !isOver; seconds++) {
        clock.advance(1000);
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      assert.deepEqual(await copied, { objects: 1, bytes: 500_000 });
      assert(seconds >= 5, `${seconds} s`);
    } finally {
      await Promise.all([from.end(), into.end()]);
    }
  });

  it("that may not be read are an error, and none of their batch is copied", async () => {
    const database = await freshDatabase(source, "SELECT lo_create(5); SELECT lo_create(6)", "CREATE ROLE nobody_much");
    const targetDatabase = await freshDatabase(azure.server);
    const from = await open(source, database);
    const into = await target(targetDatabase);
    try {
      await from.query("SET SESSION AUTHORIZATION nobody_much");
      await assert.rejects(copyLargeObjects(from, into), (error: Error) => {
        assert.ok(error instanceof RefusedError);
        assert.match(error.message, /large objects 5 to 6.*permission denied/);
        return true;
      });
      assert.equal((await into.query("SELECT FROM pg_largeobject_metadata")).rowCount, 0);
    } finally {
      await Promise.all([from.end(), into.end()]);
    }
  });
});
