import { findingCatalogue } from "../finding-codes/finding-code.js";
import type { Store } from "../store/store.js";
import type { MigrationReport } from "./report-schema.js";

type NotMigrated = MigrationReport["notMigrated"];

const omittingCodes = new Set(Object.entries(findingCatalogue).flatMap(([code, { omits }]) => (omits ? [code] : [])));

/** Objects that the copy left out, and warnings about what the target does not get. */
export async function readNotMigrated(
  store: Store,
  migration: string,
  findings: MigrationReport["findings"],
): Promise<NotMigrated> {
  const rows = await store.query<{ one: NotMigrated[number] }>(
    `SELECT json_strip_nulls(json_build_object('database', database, 'kind', object_type, 'object', object,
              'reason', reason, 'code', code, 'remedy', remedy)) AS one
       FROM pgmigration.omitted_object WHERE migration = $1 ORDER BY database, object_type, object`,
    [migration],
  );
  const omitted = rows.map(({ one }) => one);
  const isListed = ({ database, code }: MigrationReport["findings"][number]): boolean =>
    omitted.some((one) => one.database === database && one.code === code);
  const named = findings.filter(
    (one) => one.status === "open" && one.code !== undefined && omittingCodes.has(one.code) && !isListed(one),
  );
  return [
    ...omitted,
    ...named.map(({ database, object, message, code, remedy }) => ({
      database,
      object,
      reason: message,
      code,
      remedy,
    })),
  ];
}
