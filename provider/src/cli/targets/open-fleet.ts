import type { ListProblem, TargetList } from "../../fleet/target.js";
import { exitCodes } from "../exit-code.js";
import type { TargetFlags } from "../options/server-options.js";
import { writeMessage } from "../output/terminal.js";
import { readTargets } from "./read-targets.js";

/**
 * Reads the targets of `--targets`. Reports the wrong entries, which also set the exit code. The command continues with the
 * others.
 */
export async function openFleet(list: string, flags: TargetFlags): Promise<TargetList> {
  const found = await readTargets(list, flags);
  reportProblems(list, found.problems);
  return found;
}

function reportProblems(list: string, problems: readonly ListProblem[]): void {
  if (problems.length === 0) return;
  process.exitCode = exitCodes.wrongCommandLine;
  writeMessage(`pg-migration: ${list} has wrong entries; the other entries are used`);
  for (const { place, reason } of problems) writeMessage(`  ${place}: ${reason}`);
  writeMessage("  To do: correct these entries");
}
