import { Lab } from "../../support/lab";
import { renameSequences, renameWhileFollowing } from "./renames";

describe("tables of a followed source that are renamed more than once", () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.start({ source: { major: 16 } });
  });
  after(() => lab.stop());

  for (const [title, steps] of Object.entries(renameSequences))
    it(`${title}: the target gets the same tables`, () => renameWhileFollowing(lab, steps));
});
