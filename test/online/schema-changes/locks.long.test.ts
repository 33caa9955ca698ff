import { Lab } from "../../support/lab";
import {
  alterBeforeSnapshot,
  changeWhileJoining,
  truncateBesideJoining,
  truncateEveryTwoSeconds,
  truncateUntilFenced,
} from "./joining-table";

describe("locks of a table that joins the stream", () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.start({ source: { major: 16 } });
  });
  after(() => lab.stop());

  for (const statement of ["ALTER TABLE late ADD COLUMN note text", "DROP TABLE late"])
    it(`${statement}: does not wait until the table is copied`, () => changeWhileJoining(lab, statement));

  it("a table that is truncated again and again: does not delay the others that join", () =>
    truncateBesideJoining(lab));

  it("tables that are altered before their snapshot: are copied with their new definitions", () =>
    alterBeforeSnapshot(lab));

  it("a table that is truncated every two seconds: joins without a fence", () => truncateEveryTwoSeconds(lab));

  it("a table that is always truncated: joins behind the fence of the cutover", () => truncateUntilFenced(lab));
});
