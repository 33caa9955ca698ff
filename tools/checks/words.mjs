// Rejects words that readers stumble over, and names that were replaced. Prints file, line and what to write instead.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

/** Words in prose, comments, messages and test titles. */
const prose = {
  anew: "again, or re-",
  "somebody|anybody|nobody": "the session, the user, no session",
  whoever: "the session that, the user who",
  moreover: "additionally",
  "(?:is|are|was|were|be) told": "is reported, is shown",
  "tells of": "reports",
  "is none": "is invalid, is missing",
  "(?:ride|rides|rode|ridden) out": "retry",
  "any ?more": "no longer",
};

/** Names of earlier versions of the code. */
const names = [
  ...["Wish", "Leavings", "Onlookers", "rideOut", "riddenOut", "VainLooks", "Bell", "PatientCopies", "JobSlots"],
  ...["HeldUp", "Overtaken", "WayBack", "wayBack", "SourceMark", "unblocked", "takeLeftOut", "throughLsn", "peekPast"],
  ...["thinOut", "letGo", "heldUp", "takenFromCopy", "isHeir", "atStake", "whatBroke", "withoutTwin"],
];

const proseWord = new RegExp(`\\b(?:${Object.keys(prose).join("|")})\\b`, "i");
const oldName = new RegExp(`\\b(?:${names.join("|")})\\b`);

const files = execFileSync("git", ["ls-files", "*.ts", "*.mjs", "*.md", "*.html"], { encoding: "utf8" })
  .trim()
  .split("\n")
  // The data of AdventureWorks contains family names such as Bell.
  .filter((file) => !/^docs\/api\/|^tools\/checks\/|\/frozen\/|\/documents\/words\.ts$/.test(file));

let count = 0;
for (const file of files)
  readFileSync(file, "utf8")
    .split("\n")
    .forEach((line, i) => {
      const found = proseWord.exec(line)?.[0] ?? oldName.exec(line)?.[0];
      if (found === undefined) return;
      count++;
      const [, instead] = Object.entries(prose).find(([word]) => new RegExp(`^(?:${word})$`, "i").test(found)) ?? [];
      console.log(`${file}:${i + 1}: "${found}"${instead === undefined ? " is an old name" : `: write ${instead}`}`);
    });
if (count > 0) {
  console.log(`${count} lines to rewrite`);
  process.exit(1);
}
