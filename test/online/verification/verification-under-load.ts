import assert from "node:assert/strict";
import { assertSameContent } from "../../support/content";
import { Lab } from "../../support/lab";
import { Resource } from "../../support/resource";
import { Traffic } from "../../support/traffic";
import { verificationOf } from "./verification-of";

/** Verifies a database repeatedly while sessions write to the source. */
export function verifyUnderLoad(rounds: number): void {
  describe("online verification under load", () => {
    let lab: Lab;
    before(async () => {
      lab = await Lab.start();
    });
    after(() => lab.stop());

    it(`reports no false difference in ${rounds} comparisons`, async () => {
      const database = await lab.database(`${Traffic.schema}
        CREATE TABLE emptied (id int, v text);
        CREATE TABLE wide (id int PRIMARY KEY, v text);
        INSERT INTO wide SELECT i, repeat('w', 500) FROM generate_series(1, 20000) i;`);
      const traffic = Traffic.start(lab.source, database, 4);
      const resource = new Resource();
      let writing = true;
      const writers: Promise<void>[] = [];
      const others = async (sql: (round: number) => string): Promise<void> => {
        for (let round = 0; writing; round++) await lab.source.query(sql(round), { database });
      };
      try {
        await resource.create(lab.onlineInputs([database], { reconnectFor: 60 }));
        writers.push(
          others((round) => `UPDATE wide SET v = ${round} || repeat('w', 500) WHERE id % 50 = ${round % 50}`),
          others(
            (round) => `TRUNCATE emptied; INSERT INTO emptied SELECT i, 'x' FROM generate_series(1, ${round % 90}) i`,
          ),
        );
        for (let round = 0; round < rounds; round++) {
          const found = verificationOf(await resource.update({ verifyNow: `round ${round}` }), database);
          assert.equal(found.state, "equal", found.message);
          assert.equal(found.tablesCompared, 5);
          assert.equal(found.requestedBy, `round ${round}`);
        }
        assert.equal(resource.status.state, "WaitingForUserAction");
      } finally {
        writing = false;
        await Promise.all([traffic.stop(), ...writers]);
      }
      await resource.update({ triggerCutover: true });
      await assertSameContent(...lab.places(database));
      await resource.destroy();
    });
  });
}
