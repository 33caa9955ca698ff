// Rejects folders with more than 20 source files: a listing of the folder should explain it.
import { execFileSync } from "node:child_process";
import { dirname } from "node:path";

const maxFiles = 20;

const counts = new Map();
const files = execFileSync("git", ["ls-files", "*.ts"], { encoding: "utf8" }).trim().split("\n");
for (const folder of files.map(dirname)) counts.set(folder, (counts.get(folder) ?? 0) + 1);
const crowded = [...counts].filter(([, count]) => count > maxFiles);
for (const [folder, count] of crowded) console.log(`${folder}: ${count} files, at most ${maxFiles} are allowed`);
if (crowded.length > 0) process.exit(1);
