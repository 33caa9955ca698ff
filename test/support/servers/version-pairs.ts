import type { AzureLikeOptions } from "./azure-like";
import type { Major } from "./embedded-server";

export interface VersionPair {
  readonly from: Major;
  readonly to: AzureLikeOptions["major"];
  /** The pg_dump that reads the source: the one on PATH, or the embedded one. */
  readonly tool?: "native" | "embedded";
}

/** Returns `usual`, or the pairs of PG_MIGRATION_TEST_PAIRS, such as `11-13,12-15-embedded`. */
export function versionPairs(usual: readonly VersionPair[]): readonly VersionPair[] {
  const asked = process.env.PG_MIGRATION_TEST_PAIRS;
  if (asked === undefined) return usual;
  return asked.split(",").map((pair) => {
    const [from, to, tool] = pair.split("-");
    const versions = { from: Number(from) as Major, to: Number(to) as VersionPair["to"] };
    return { ...versions, tool: tool === "embedded" ? "embedded" : "native" };
  });
}
