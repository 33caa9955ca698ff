// Rejects commit subjects that are not `scope: summary` of at most 72 characters. Older commits follow no convention.
import { execFileSync } from "node:child_process";

const lastOldCommit = "b682bdb";
const pattern = /^[a-z][a-z0-9-]*: [a-z`].*[^.]$/;
const maxLength = 72;

const git = (...args) => execFileSync("git", args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();

function subjectsSince(commit) {
  try {
    return git("log", "--no-merges", "--format=%h %s", `${commit}..HEAD`).split("\n").filter(Boolean);
  } catch {
    console.log(`commit ${commit} is not in this clone: the last commit alone is checked`);
    return [git("log", "-1", "--format=%h %s")];
  }
}

const wrong = subjectsSince(lastOldCommit).filter((line) => {
  const subject = line.slice(line.indexOf(" ") + 1);
  return subject.length > maxLength || !pattern.test(subject);
});
for (const line of wrong)
  console.log(`${line}\n  expected "scope: imperative summary", at most ${maxLength} characters`);
if (wrong.length > 0) process.exit(1);
