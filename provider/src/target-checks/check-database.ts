import type { Problem } from "../findings.js";
import type { Endpoint } from "../postgres/connection/endpoint.js";
import { withSession } from "../postgres/connection/with-session.js";
import { changedCollations } from "./changed-collations.js";
import { disabledAutovacuum } from "./disabled-autovacuum.js";
import { invalidIndexes } from "./invalid-indexes.js";
import { lateSequences } from "./late-sequences.js";
import { missingStatistics } from "./missing-statistics.js";
import type { TargetCheck } from "./target-check.js";
import { unvalidatedConstraints } from "./unvalidated-constraints.js";

const checks: readonly TargetCheck[] = [
  ...[invalidIndexes, changedCollations, missingStatistics],
  ...[unvalidatedConstraints, lateSequences, disabledAutovacuum],
];

/** Problems in a migrated database of the target, PGM-811 to PGM-816. Changes nothing. */
export const checkDatabase = (target: Endpoint, database: string): Promise<Problem[]> =>
  withSession(target, { database, purpose: "check target" }, async (session) => {
    const problems: Problem[] = [];
    for (const check of checks) for (const one of await check(session)) problems.push({ database, ...one });
    return problems;
  });
