import { Lab } from "../../../support/lab";
import { versionPairs } from "../../../support/servers/version-pairs";
import { changesOfEveryKind, repetitions } from "./changes-of-every-kind";
import { createOwners, migrateChanges } from "./migrate-changes";

for (const { from, to } of versionPairs([
  { from: 14, to: 17 },
  { from: 18, to: 18 },
]))
  describe(`every change of every kind of object from PostgreSQL ${from} to ${to}`, () => {
    let lab: Lab;
    before(async () => {
      lab = await Lab.start({ source: { major: from }, target: { major: to } });
      await createOwners(lab);
    });
    after(() => lab.stop());

    for (const repetition of repetitions)
      for (const isKilled of [false, true])
        it(`${repetition}${isKilled ? ", with the worker killed before each step" : ""}: rows and pg_dump's output are the same, except for what the rule table keeps`, () =>
          migrateChanges(lab, changesOfEveryKind(repetition), { isKilled }));
  });
