import assert from "node:assert/strict";
import { assertSameContent } from "../../support/content";
import { Lab } from "../../support/lab";
import { Resource } from "../../support/resource";
import { until } from "../../support/until";
import { copiedBytes } from "./copied-bytes";

const replica = "replica_of_the_source";

describe("maxReplicaLag", () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.start({ source: { major: 16 } });
  });
  after(() => lab.stop());

  it("slows the copy down while a replica is behind, names the replica, and continues after it has caught up", async () => {
    const published = await lab.database("CREATE TABLE t (id int PRIMARY KEY); CREATE PUBLICATION p FOR TABLE t");
    const { host, port, user, password } = lab.source.login;
    await lab.target.query("CREATE DATABASE subscriber");
    const subscriber = await lab.target.connect("subscriber");
    const obstacle = await lab.target.connect("subscriber");
    const database = await lab.database(
      `CREATE TABLE large (id int, v text);
       INSERT INTO large SELECT i, repeat(md5(i::text), 32) FROM generate_series(1, 60000) i`,
    );
    const resource = new Resource();
    try {
      await subscriber.query("CREATE TABLE t (id int PRIMARY KEY)");
      await subscriber.query(
        `CREATE SUBSCRIPTION ${replica} CONNECTION 'host=${host} port=${port} user=${user} password=${password} dbname=${published}' PUBLICATION p`,
      );
      await lab.querySource(published, "INSERT INTO t VALUES (1)");
      await until("the replica follows", async () => (await subscriber.query("TABLE t")).rowCount === 1);
      await obstacle.query("BEGIN; LOCK TABLE t");
      await lab.querySource(published, "INSERT INTO t VALUES (2)");

      await resource.create(lab.inputs([database], { maxReplicaLag: "2s", waitFor: "started" }));
      await until("the message names the replica", async () => (await resource.messageOf(database)).includes(replica));
      assert.match(await resource.messageOf(database), /^copying tables, slowed down: replica \w+ is \d+ s behind$/);
      await until("the copy reads less than 1 MB within two seconds", async () => {
        const earlier = await copiedBytes(lab, database);
        let later = earlier;
        await until("two seconds later", async () => {
          later = await copiedBytes(lab, database);
          return later.seconds >= earlier.seconds + 2;
        });
        assert.equal((await resource.refresh()).state, "InProgress");
        return later.bytes - earlier.bytes < 1024 ** 2;
      });

      await obstacle.query("ROLLBACK");
      await until("the replica has caught up", async () => (await subscriber.query("TABLE t")).rowCount === 2);
      await until("the message no longer names it", async () => {
        return (await resource.messageOf(database)) === "copying tables";
      });
      const ended = await resource.update({ maxReplicaLag: undefined, waitFor: "succeeded" });
      assert.equal(ended.state, "Succeeded");
      const events = await lab.target.query<{ message: string }>(
        "SELECT message FROM pgmigration.event WHERE message ~ '^the (copy slows down|replicas)' ORDER BY id",
      );
      assert.match(events[0]!.message, /^the copy slows down: replica replica_of_the_source is \d+ s behind$/);
      assert.equal(events[1]!.message, "the replicas of the source have caught up: the copy continues");
      await assertSameContent(...lab.places(database));
    } finally {
      await obstacle.end();
      await subscriber.query(`DROP SUBSCRIPTION IF EXISTS ${replica}`);
      await subscriber.end();
      await resource.destroy();
    }
  });
});
