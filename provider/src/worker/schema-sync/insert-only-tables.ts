import type { Client } from "pg";
import { changeCaptureNames } from "../../cdc/model/names.js";
import { followKeys } from "../../cdc/source/publication.js";
import type { Finding } from "../../findings.js";
import { qualify } from "../../postgres/identifiers.js";
import type { Table } from "../../postgres/tables.js";
import { enumerate } from "../../units/enumerate.js";
import { tablesInScope } from "../context/tables-in-scope.js";
import type { Work } from "../context/work.js";
import type { StreamRecord } from "../followers/stream-record.js";

/** Reports tables that were created or lost their key after the validation, which reports all others. */
export async function reportInsertOnly(work: Work, database: string, tables: readonly Table[]): Promise<void> {
  if (tables.length > 0) await work.journal.findings([insertOnlyFinding(database, tables)]);
}

/** Publishes updates and deletes of the tables that have a key now. Reports those that have lost it. */
export async function followKeysIn({ work, database }: StreamRecord, source: Client): Promise<void> {
  const names = changeCaptureNames(work.spec, database);
  const tables = await tablesInScope(source, work.spec);
  await reportInsertOnly(work, database, await followKeys(source, names, tables, { keyless: work.spec.keylessTables }));
}

function insertOnlyFinding(database: string, tables: readonly Table[]): Finding {
  const names = enumerate(tables.map(({ schema, name }) => qualify(schema, name)));
  const whole = tables.filter(({ columns }) => columns.every(({ generated }) => generated === undefined));
  const wholeRows = whole.map(({ schema, name }) => `, or ALTER TABLE ${qualify(schema, name)} REPLICA IDENTITY FULL`);
  return {
    ...{ database, type: "SchemaValidation", state: "Warning", object: names, objectType: "Database" },
    code: "PGM-506",
    message: `${names} was created without a key, or lost its key, during replication: only inserts are replicated, because the stream does not identify rows; an UPDATE or DELETE is found at the cutover as a difference`,
    remedy: `on the source: add a primary key over columns that are not generated${wholeRows.slice(0, 5).join("")}; then the table is copied again, and all its changes are replicated`,
  };
}
