import pg, { type Client } from "pg";
import type { Finding } from "../../findings.js";
import {
  type ObjectSetting,
  readObjectSettings,
  settingDigestsOf,
  settingsSince,
} from "../../schema/catalogue/object-settings.js";
import { hiddenValueHint, withoutSettingValues } from "../../schema/sql/statements.js";
import type { StreamRecord } from "../followers/stream-record.js";
import type { Sides } from "./followed-objects.js";

const lockSeconds = 5;

/** No such table, column, function, schema, or object of another kind. */
const isUndefined = /^(42P01|42703|42883|3F000|42704)$/;

/**
 * Statements for the settings that the source has changed since they were last applied to the target.
 *
 * @param now the source's settings
 */
export async function dueSettings(
  { following: { mark } }: StreamRecord,
  now: readonly ObjectSetting[],
  target: Client,
): Promise<readonly string[]> {
  return mark?.settings ? settingsSince(mark.settings, now, await readObjectSettings(target)) : [];
}

/** A setting that the target refuses does not prevent the cutover: it only affects speed and descriptions. */
export async function carrySettings(record: StreamRecord, { source, target }: Sides): Promise<void> {
  const { mark } = record.following;
  const now = await readObjectSettings(source);
  const due = await dueSettings(record, now, target);
  // A statement that waits for a table blocks the stream and the cutover.
  if (due.length > 0) await target.query(`SET lock_timeout = '${lockSeconds}s'`);
  for (const sql of due) await carrySetting(record, target, sql);
  if (mark) await record.keep({ mark: { ...mark, settings: settingDigestsOf(now) } });
}

async function carrySetting(record: StreamRecord, target: Client, sql: string): Promise<void> {
  try {
    await target.query(sql);
    await record.reportCarriedStatement(sql);
  } catch (error) {
    if (!(error instanceof pg.DatabaseError)) throw error;
    // The filter leaves the object out, or a finding has named it.
    if (!isUndefined.test(error.code ?? "")) await nameSetting(record, sql, error.message);
  }
}

function nameSetting({ work, database, targetName }: StreamRecord, sql: string, why: string): Promise<void> {
  const shown = withoutSettingValues(sql);
  const finding: Finding = {
    ...{ database, type: "SchemaValidation", state: "Warning", object: shown, objectType: "Database" },
    code: "PGM-507",
    message: `${shown} was run on the source during replication, and could not be applied to the target: ${why}`,
    remedy: `on the target, in ${targetName}, as a role with the privilege${hiddenValueHint(shown)}: ${shown}`,
  };
  return work.journal.findings([finding]);
}
