import { majorVersion } from "../../postgres/server-version.js";
import type { Rule } from "../context.js";

const oldestSource = 90500;

/** 603400: the source is 9.5 or later, and the target is not older than the source. */
export const versions: Rule = ({ sourceVersion, targetVersion }) => {
  const source = majorVersion(sourceVersion);
  const target = majorVersion(targetVersion);
  const failed = { type: "SourceVersionValidation", state: "Failed", code: "603400", objectType: "Instance" } as const;
  if (sourceVersion < oldestSource)
    return [
      {
        ...failed,
        message: `the source is PostgreSQL ${source}; the oldest supported version is 9.5`,
        remedy: "upgrade the source first: pg_upgrade --link",
      },
    ];
  if (target < source)
    return [
      {
        ...failed,
        message: `the target is PostgreSQL ${target}, older than the source's ${source}`,
        remedy: `create the target with version ${Math.floor(source)} or later: az postgres flexible-server create --version ${Math.floor(source)}`,
      },
    ];
  return [
    {
      type: "SourceVersionValidation",
      state: "Succeeded",
      objectType: "Instance",
      message: `PostgreSQL ${source} to ${target}`,
    },
  ];
};
