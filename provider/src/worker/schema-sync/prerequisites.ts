import type { Client } from "pg";
import { RefusedError } from "../../errors.js";
import { qualify } from "../../postgres/identifiers.js";
import { isLockTimeout } from "../../postgres/locks/lock-waits.js";
import { restoredRule } from "../../schema/catalogue/change-rules.js";
import { digestsOf, readDefinitions, type Redefined } from "../../schema/catalogue/definitions.js";
import { dumpSchema } from "../../schema/dump/dump.js";
import { planRestore } from "../../schema/plan/restore-plan.js";
import { hiddenTables, readSelection, selectEntries } from "../../schema/plan/selection.js";
import { readRestoreContext } from "../../schema/restore/restore-context.js";
import { restoreEntries } from "../../schema/restore/restore.js";
import { type Entry, entryName, parseTocEntries } from "../../schema/sql/toc-entries.js";
import { reportFindings } from "../context/report-findings.js";
import type { StreamRecord } from "../followers/stream-record.js";
import { readSchemaNames } from "../schema-diff/renamed-schemas.js";
import { dumpTarget, type NewObjects } from "./new-objects.js";
import { refuseTakenObjects } from "./taken-names.js";

/** Restores types and similar objects that new columns and tables may need. */
export class Prerequisites {
  readonly #record: StreamRecord;
  /** The refusal that was last reported. */
  #refusal: string | undefined;

  constructor(record: StreamRecord) {
    this.#record = record;
  }

  async restore(objects: NewObjects, renamedTypes: ReadonlySet<string>): Promise<void> {
    await this.#noteNew(objects.source);
    await this.#restore(objects, renamedTypes);
  }

  /** Objects may have been moved to schemas that are new on the source. */
  async restoreSchemas(objects: NewObjects): Promise<void> {
    const onTarget = new Set(Object.values(await readSchemaNames(objects.target)));
    const isNew = (name: string): boolean => !onTarget.has(name);
    if (!Object.values(await readSchemaNames(objects.source)).some(isNew)) return;
    await this.#restore(objects, new Set(), ({ type }) => type === "SCHEMA");
  }

  /**
   * Records the definitions of new objects before they are restored, so that the next change of them is noticed. If an object is
   * changed before the dump, it is only replaced once more.
   */
  async #noteNew(source: Client): Promise<void> {
    const { mark } = this.#record.following;
    if (!mark) return;
    const isNew = ({ id }: Redefined): boolean => mark.objectKeys?.[id] === undefined;
    const added = digestsOf((await readDefinitions(source)).filter(isNew));
    await this.#record.keep({ mark: { ...mark, definitions: { ...added, ...mark.definitions } } });
  }

  /**
   * A refusal of the target is only reported: the other objects are restored, and tables may not need the refused one.
   *
   * @param isWanted restores only these
   */
  async #restore(
    objects: NewObjects,
    renamedTypes: ReadonlySet<string>,
    isWanted: (entry: Entry) => boolean = () => true,
  ): Promise<void> {
    const { work, database, target, sourceSearchPath } = objects;
    const wanted = (await missingPrerequisites(objects, renamedTypes)).filter(isWanted);
    // The dump does not distinguish objects of other roles from copies.
    await refuseTakenObjects(objects);
    const context = await readRestoreContext(target, { sourceSearchPath, resumed: true, signal: work.signal });
    try {
      await reportFindings(work, database, await restoreEntries(target, wanted, context));
      this.#refusal = undefined;
    } catch (error) {
      if (!(error instanceof RefusedError) || isLockTimeout(error)) throw error;
      await this.#reportRefusal(error.message);
    }
  }

  async #reportRefusal(refusal: string): Promise<void> {
    if (refusal !== this.#refusal)
      await this.#record.report(`objects that new columns may need are missing on the target: ${refusal}`, "warning");
    this.#refusal = refusal;
  }
}

/** Whether a column may need an object of this kind. A function that needs a table is restored with the other objects. */
export const isPrerequisite = (kind: string): boolean => restoredRule(kind, "created")?.action === "before";

/**
 * The objects that the target lacks and a table may need for a new column or a new schema.
 *
 * @param renamedTypes qualified names of types that the target has under another name
 */
export async function missingPrerequisites(
  { work, database, source, target, leftOut }: NewObjects,
  renamedTypes: ReadonlySet<string>,
): Promise<readonly Entry[]> {
  const { signal } = work;
  const selection = await readSelection(source, work.spec);
  const without = await hiddenTables(source, selection);
  const onSource = parseTocEntries((await dumpSchema(work.source, database, { without, signal })).text);
  const onTarget = parseTocEntries((await dumpTarget({ work, database, target }, signal)).text);
  const known = new Set(onTarget.map(entryName));
  const { before } = planRestore(selectEntries(selectEntries(onSource, selection), leftOut()));
  const isRenamed = ({ type, schema, name }: Entry): boolean =>
    (type === "TYPE" || type === "DOMAIN") && renamedTypes.has(qualify(schema ?? "", name));
  const owners = await sequenceOwners(source);
  // A sequence arrives with the table that owns it, which may have been renamed and have its former name on the target.
  const arrivesWithTable = ({ oid, type }: Entry): boolean => {
    const table = type === "SEQUENCE" ? owners.get(oid) : undefined;
    return table !== undefined && !known.has(entryName({ type: "TABLE", ...table }));
  };
  return before.filter(
    (entry) =>
      isPrerequisite(entry.type) && !known.has(entryName(entry)) && !isRenamed(entry) && !arrivesWithTable(entry),
  );
}

/** The tables that own sequences, by OID of the sequence. */
export async function sequenceOwners(client: Client): Promise<Map<number, Pick<Entry, "schema" | "name">>> {
  const { rows } = await client.query<{ oid: string; schema: string; name: string }>(
    `SELECT s.oid::int8, n.nspname AS schema, t.relname AS name
       FROM pg_catalog.pg_class s
       JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = s.oid
        AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')
       JOIN pg_catalog.pg_class t ON t.oid = d.refobjid
       JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace
      WHERE s.relkind = 'S'`,
  );
  return new Map(rows.map(({ oid, schema, name }) => [Number(oid), { schema, name }]));
}
