import type { AzureLikeOptions } from "./azure-like";
import type { Major } from "./embedded-server";

export interface VersionPair {
  readonly from: Major;
  readonly to: AzureLikeOptions["major"];
  /** Which pg_dump reads the source: the one on PATH, or the embedded one. */
  readonly tool?: "native" | "embedded";
}

/** The pairs that a suite runs over, unless others are asked for: `PG_MIGRATION_TEST_PAIRS=11-13,12-15-embedded`. */
export function versionPairs(usual: readonly VersionPair[]): readonly VersionPair[] {
  const asked = process.env.PG_MIGRATION_TEST_PAIRS;
  if (asked === undefined) return usual;
  return asked.split(",").map((pair) => {
    const [from, to, tool] = pair.split("-");
    const versions = { from: Number(from) as Major, to: Number(to) as VersionPair["to"] };
    return { ...versions, tool: tool === "embedded" ? "embedded" : "native" };
  });
}
