import { Lab } from "../../../support/lab";
import { changesOfEveryKind } from "./changes-of-every-kind";
import { createOwners, migrateChanges } from "./migrate-changes";

describe("every change of every kind of object while the source is followed", () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.start({ source: { major: 17 } });
    await createOwners(lab);
  });
  after(() => lab.stop());

  it("once: rows and pg_dump's output are the same, except for what the rule table keeps", () =>
    migrateChanges(lab, changesOfEveryKind("once")));
});
