import { isDeepStrictEqual } from "node:util";
import pg, { type Client } from "pg";
import { RefusedError } from "../../errors.js";
import { readCatalogueVersion } from "../../schema/catalogue/catalogue-version.js";
import { restoredRule } from "../../schema/catalogue/change-rules.js";
import {
  type Definitions,
  digestsOf,
  keyOf,
  objectKeysOf,
  readDefinitions,
  type Redefined,
  redefinedSince,
  underPresentKeys,
} from "../../schema/catalogue/definitions.js";
import { isPrintedAlike, isSameDigest } from "../../schema/catalogue/digests.js";
import { renamedKinds } from "../../schema/catalogue/kinds.js";
import { readSchema } from "../../schema/catalogue/read-schema.js";
import { readSelection } from "../../schema/plan/selection.js";
import { catalogueKey } from "../../schema/sql/toc-entries.js";
import { readObjectSettings, settingDigestsOf, settingsSince } from "../../schema/catalogue/object-settings.js";
import { hiddenValueHint, withoutSettingValues } from "../../schema/sql/statements.js";
import type { Finding } from "../../findings.js";
import { compareSchema, type SchemaDifference } from "../../verify/compare-schema.js";
import type { Followers } from "../followers/followers.js";
import { mergeRestored } from "../followers/stream-state.js";
import { enumerate } from "../../units/enumerate.js";
import { readSchemaNames } from "../schema-diff/renamed-schemas.js";
import type { PausingChange } from "../schema-diff/schema-change.js";
import {
  missingPrerequisites,
  missingStatements,
  type NewObjects,
  restorePrerequisites,
  restoreMissing,
  sequenceOwners,
} from "./new-objects.js";
import type { StreamRecord } from "../followers/stream-record.js";
import { runCarried } from "./carried-statement.js";
import {
  type FollowedObjects,
  type ObjectsOfBoth,
  pairCopies,
  presentOnly,
  readFollowedObjects,
} from "./followed-objects.js";
import { endedParts, type EndedPart, recreatedParts } from "./relation-parts.js";
import { type RenamedObject, renamedObjects } from "./renamed-objects.js";
import { shownSql } from "../../schema/sql/shown-entry.js";
import { refuseTakenObjects } from "./taken-names.js";

/**
 * Restores objects that the target lacks, other than tables and columns: functions, views, indexes, constraints. Drops triggers,
 * rules and policies that the source no longer has.
 */
export class MissingObjects {
  readonly #record: StreamRecord;
  readonly #followers: Followers;
  /** The refusal of a prerequisite that was last reported. */
  #refusal: string | undefined;

  constructor(record: StreamRecord, followers: Followers) {
    this.#record = record;
    this.#followers = followers;
  }

  /** Changes for the operator that create types and similar objects, which new columns and tables need. */
  async prerequisites(objects: NewObjects, renamedTypes: ReadonlySet<string>): Promise<PausingChange[]> {
    if (!(await this.#lacksAny(objects, isRestoredBeforeTables))) return [];
    const renamed = await this.#renamed(objects, await readFollowedObjects(objects));
    const isRenamed = new Set(renamed.map(({ id }) => id));
    const missing = (await missingPrerequisites(objects, renamedTypes))
      .filter((entry) => !isRenamed.has(catalogueKey(entry)))
      .map((entry) => ({ rule: restoredRule(entry.type, "created")!, sql: oneLine(shownSql(entry)) }));
    return schemasFirst([...renamed, ...missing]).map(({ rule, sql }) => ({
      rule,
      sql,
      tables: [],
      runBy: "operator",
    }));
  }

  /** Restores types and similar objects that new columns need. */
  async restorePrerequisites(objects: NewObjects, renamedTypes: ReadonlySet<string>): Promise<void> {
    if (!(await this.#lacksAny(objects, isRestoredBeforeTables))) return;
    await this.#noteNew(objects.source);
    await this.#reportRefusal(await restorePrerequisites(objects, renamedTypes));
  }

  async #reportRefusal({ message: refusal }: Partial<RefusedError> = {}): Promise<void> {
    if (refusal !== undefined && refusal !== this.#refusal)
      await this.#record.report(`objects that new columns may need are missing on the target: ${refusal}`, "warning");
    this.#refusal = refusal;
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
   * Before names change on the target: finds the copies of the source's objects.
   *
   * @param mayRename gives them their present names
   * @returns whether it gave any
   */
  async followNames(objects: NewObjects, mayRename: boolean): Promise<boolean> {
    const both = await readFollowedObjects(objects);
    await this.#renewParts(objects, both);
    await this.#findCopies(objects, both);
    const renamed = mayRename ? await this.#renamed(objects, both) : [];
    if (renamed.length === 0) return false;
    await refuseTakenObjects(objects);
    await this.#restoreSchemas(objects);
    let isAny = false;
    for (const { sql } of renamed) isAny = (await runCarried(this.#record, objects.target, sql)) || isAny;
    return isAny;
  }

  /** Objects may have been moved to schemas that are new on the source. */
  async #restoreSchemas(objects: NewObjects): Promise<void> {
    const onTarget = new Set(Object.values(await readSchemaNames(objects.target)));
    const isNew = (name: string): boolean => !onTarget.has(name);
    if (!Object.values(await readSchemaNames(objects.source)).some(isNew)) return;
    await this.#reportRefusal(await restorePrerequisites(objects, new Set(), ({ type }) => type === "SCHEMA"));
  }

  async #findCopies(objects: NewObjects, { parts, others }: FollowedObjects): Promise<void> {
    const { mark, without: omitted, ...following } = this.#record.following;
    const without = new Set([...omitted, ...objects.leftOut().cut]);
    const given = mark?.objectKeys ?? {};
    const pair = (both: ObjectsOfBoth, keys: typeof given, copies: typeof given = {}): typeof given =>
      pairCopies(both, { copies, given: keys, without });
    const found = {
      followedRelationParts: pair(parts, given, following.followedRelationParts),
      // Another object may get the name of one that was dropped, and then replaces its copy.
      followedObjects: pair(others, presentOnly(given, others), presentOnly(following.followedObjects ?? {}, others)),
    };
    const known = {
      followedRelationParts: following.followedRelationParts,
      followedObjects: following.followedObjects,
    };
    if (!isDeepStrictEqual(known, found)) await this.#record.keep(found);
  }

  async #renamed(objects: NewObjects, { others }: FollowedObjects): Promise<RenamedObject[]> {
    const { followedObjects = {} } = this.#record.following;
    const renamed = (cut: ReadonlySet<string>, owned: ReadonlySet<number>): RenamedObject[] =>
      renamedObjects(others, followedObjects, { without: cut, owned });
    if (renamed(new Set(), new Set()).length === 0) return [];
    const { cut } = await readSelection(objects.source, this.#record.work.spec);
    return renamed(cut, new Set((await sequenceOwners(objects.target)).keys()));
  }

  /** Deployments often drop a trigger or policy and create it again. */
  async #renewParts({ source }: NewObjects, { parts }: FollowedObjects): Promise<void> {
    const { followedRelationParts: copies = {}, mark } = this.#record.following;
    if (!mark?.objectKeys) return;
    const known = { copies, given: mark.objectKeys, definitions: mark.definitions ?? {} };
    const again = await recreatedParts(source, parts, known);
    if (Object.keys(again).length === 0) return;
    const renewed = (all: Readonly<Record<string, string>>): Readonly<Record<string, string>> =>
      Object.fromEntries(Object.entries(all).map(([id, one]) => [again[id] ?? id, one]));
    await this.#record.keep({
      followedRelationParts: renewed(copies),
      mark: { ...mark, objectKeys: renewed(mark.objectKeys) },
    });
  }

  async restore(objects: NewObjects): Promise<void> {
    if (await this.#lacksAny(objects)) await this.#restore(objects);
  }

  /** Changed objects that can be replaced before the cutover, because a missing object needs their new definition. */
  async replaceable(objects: NewObjects): Promise<readonly Redefined[]> {
    const isReplaceable = ({ kind }: Redefined): boolean => restoredRule(kind, "changed")?.action !== "pause";
    return (await this.#redefined(objects)).filter(isReplaceable);
  }

  /**
   * Restores all missing objects. Also replaces objects that were redefined, and applies owners and privileges.
   *
   * @returns whether anything differed
   * @throws RefusedError naming what the target still lacks
   */
  async complete(objects: NewObjects): Promise<boolean> {
    const isCarried = this.#record.work.spec.schemaChanges === "carry";
    await this.followNames(objects, isCarried);
    if (isCarried) await this.dropEnded(objects);
    const { mark } = this.#record.following;
    const redefined = await this.#redefined(objects);
    if (!isCarried) await this.#requireAll(objects, redefined);
    const isChanged = mark?.catalogues !== (await readCatalogueVersion(objects.source));
    const hasBrought = isChanged || redefined.length > 0 || (await this.#lacksAny(objects));
    if (hasBrought) {
      await this.#restore({ ...objects, redefined });
      // Objects that were dropped to replace them have lost their triggers and rules.
      if ((await this.#lacking(objects)).length > 0) await this.#restore(objects);
      const lacking = await this.#lacking(objects);
      if (lacking.length > 0) throw lacksError(this.#record, lacking);
    }
    await this.#carrySettings(objects);
    return hasBrought;
  }

  /** Without objects whose definition only changed with the names of others, as on the target. */
  async #redefined(objects: NewObjects): Promise<Redefined[]> {
    const now = await readDefinitions(objects.source);
    const redefined = redefinedSince(await this.#definitionsBefore(objects, now), now);
    if (redefined.length === 0) return [];
    const onTarget = digestsOf(await readDefinitions(objects.target));
    return redefined.filter(({ key, digest }) => !isPrintedAlike(onTarget[key], digest));
  }

  /** The definitions when they were last applied to the target, by the present keys of the objects. */
  async #definitionsBefore({ target }: NewObjects, now: readonly Redefined[]): Promise<Definitions> {
    const { mark, followedObjects = {} } = this.#record.following;
    const names = new Map((await readSchema(target, renamedKinds, "details")).map((one) => [one.id, keyOf(one)]));
    const isRenamed = ({ id, key, isRelationPart }: Redefined): boolean =>
      isRelationPart || names.get(followedObjects[id] ?? "") === key;
    return underPresentKeys(mark?.definitions ?? {}, mark?.objectKeys ?? {}, { now, isRenamed });
  }

  /** @throws RefusedError with the statements that the operator has to run. Definitions are compared as the servers print them. */
  async #requireAll(objects: NewObjects, redefined: readonly Redefined[]): Promise<void> {
    const { database, targetName, following } = this.#record;
    const renamed = await this.#renamed(objects, await readFollowedObjects(objects));
    const objectsDiffer = redefined.length > 0 || (await this.#lacksAny(objects));
    const settings = following.mark?.settings
      ? settingsSince(
          following.mark.settings,
          await readObjectSettings(objects.source),
          await readObjectSettings(objects.target),
        )
      : [];
    const ended = (await this.#endedParts(objects)).map(({ drop }) => drop);
    const isRenamed = new Set(renamed.map(({ id }) => id));
    const missing = objectsDiffer ? await missingStatements(objects, redefined, isRenamed) : [];
    const due = [...ended, ...renamed.map(({ sql }) => sql), ...missing, ...settings].map((sql) => ({ sql }));
    if (due.length === 0) return;
    const statements = schemasFirst(due)
      .map(({ sql }) => oneLine(sql))
      .join("; ");
    throw new RefusedError(`${database} is not cut over: the source's schema has changed, and schemaChanges is pause`, {
      remedy: `on the target, in ${targetName}${hiddenValueHint(statements)}: ${statements}; then cut over again. Or set schemaChanges to carry`,
      code: "PGM-503",
    });
  }

  #endedParts({ source, target }: NewObjects): Promise<EndedPart[]> {
    return endedParts({ source, target }, this.#record.following.followedRelationParts ?? {});
  }

  /** Drops triggers, rules and policies. A renamed one is then missing, and is restored under its new name. */
  async dropEnded(objects: NewObjects): Promise<void> {
    for (const { id, key, drop } of await this.#endedParts(objects)) {
      if (!(await runCarried(this.#record, objects.target, drop))) continue;
      await this.#forget(id, key);
    }
  }

  /**
   * Otherwise a part that is created under the same name would look like the dropped one.
   *
   * @param now the name under which it is restored, if it was renamed
   */
  async #forget(id: string, now?: string): Promise<void> {
    const { mark, followedRelationParts: copies = {} } = this.#record.following;
    const without = (all: Readonly<Record<string, string>> = {}, left: string): Readonly<Record<string, string>> =>
      Object.fromEntries(Object.entries(all).filter(([key]) => key !== left));
    const objectKeys = { ...without(mark?.objectKeys, id), ...(now === undefined ? {} : { [id]: now }) };
    const definitions = without(mark?.definitions, mark?.objectKeys?.[id] ?? "");
    const followedRelationParts = without(copies, id);
    await this.#record.keep({ followedRelationParts, ...(mark ? { mark: { ...mark, definitions, objectKeys } } : {}) });
  }

  /** A setting that the target refuses does not prevent the cutover: it only affects speed and descriptions. */
  async #carrySettings({ source, target }: NewObjects): Promise<void> {
    const { mark } = this.#record.following;
    const now = await readObjectSettings(source);
    const due = mark?.settings ? settingsSince(mark.settings, now, await readObjectSettings(target)) : [];
    // A statement that waits for a table blocks the stream and the cutover.
    if (due.length > 0) await target.query(`SET lock_timeout = '${settingLockSeconds}s'`);
    for (const sql of due)
      try {
        await target.query(sql);
        await this.#record.reportCarriedStatement(sql);
      } catch (error) {
        if (!(error instanceof pg.DatabaseError)) throw error;
        // The filter leaves the object out, or a finding has named it.
        if (!isUndefined.test(error.code ?? "")) await this.#nameSetting(sql, error.message);
      }
    if (mark) await this.#record.keep({ mark: { ...mark, settings: settingDigestsOf(now) } });
  }

  #nameSetting(sql: string, why: string): Promise<void> {
    const { work, database, targetName } = this.#record;
    const shown = withoutSettingValues(sql);
    const finding: Finding = {
      ...{ database, type: "SchemaValidation", state: "Warning", object: shown, objectType: "Database" },
      code: "PGM-507",
      message: `${shown} was run on the source during replication, and could not be applied to the target: ${why}`,
      remedy: `on the target, in ${targetName}, as a role with the privilege${hiddenValueHint(shown)}: ${shown}`,
    };
    return work.journal.findings([finding]);
  }

  /** The stream rests meanwhile, so that constraints are validated on rows of a moment at which the source had them. */
  async #restore(objects: NewObjects): Promise<void> {
    const { redefined = [] } = objects;
    // Before the dump: later changes are then found the next time.
    const now = await readDefinitions(objects.source);
    const catalogues = await readCatalogueVersion(objects.source);
    try {
      const catchUp = () => this.#followers.catchUp(objects.source);
      const restored = await restoreMissing(objects, { catchUp });
      const { mark } = this.#record.following;
      const before = await this.#definitionsBefore(objects, now);
      const isApplied = ({ key, digest }: Redefined): boolean =>
        before[key] === undefined || isSameDigest(before[key], digest);
      const definitions = { ...before, ...digestsOf(now.filter(isApplied)), ...digestsOf(redefined) };
      const objectKeys = { ...mark?.objectKeys, ...objectKeysOf(now) };
      if (mark) await this.#record.keep({ mark: { ...mark, definitions, objectKeys, catalogues } });
      await this.#record.keep(mergeRestored(this.#record.following, restored));
    } finally {
      this.#followers.current.resume();
    }
  }

  /** Reads the catalogues only. A dump is much slower, and is made only if this finds a difference. */
  async #lacksAny(objects: NewObjects, ofKind: (kind: string) => boolean = () => true): Promise<boolean> {
    return (await this.#differences(objects)).some(
      ({ kind, source: form }) => ofKind(kind) && (form === undefined || (kind === "constraint" && form === "valid")),
    );
  }

  async #lacking(objects: NewObjects): Promise<SchemaDifference[]> {
    return (await this.#differences(objects)).filter(({ source: form }) => form === undefined);
  }

  #differences({ source, target, leftOut }: NewObjects): Promise<SchemaDifference[]> {
    const { without, handover, keptBack } = this.#record.following;
    // Triggers and rules would fire for applied changes, so the target gets them after the cutover.
    const fires = handover.filter(({ type }) => ["TRIGGER", "RULE", "EVENT TRIGGER"].includes(type));
    const later = [...fires, ...(keptBack?.firing ?? [])].map(catalogueKey);
    return compareSchema(source, target, { without: new Set([...without, ...later, ...leftOut().cut]) });
  }
}

/** Objects may have been moved to a new schema. */
const schemasFirst = <One extends { readonly sql: string }>(statements: readonly One[]): readonly One[] => {
  const isSchema = ({ sql }: One): boolean => /^CREATE SCHEMA /.test(sql);
  return [...statements.filter(isSchema), ...statements.filter((one) => !isSchema(one))];
};

const oneLine = (sql: string): string => sql.trim().replace(/;$/, "");

/** No such table, column, function, schema, or object of another kind. */
const isUndefined = /^(42P01|42703|42883|3F000|42704)$/;

/** Whether {@link restorePrerequisites} restores a kind of compareSchema. */
const isRestoredBeforeTables = (kind: string): boolean => restoredRule(kind, "created")?.action === "before";

const maxNamed = 10;
const settingLockSeconds = 5;

function lacksError({ database, targetName }: StreamRecord, lacking: readonly SchemaDifference[]): RefusedError {
  const names = lacking.map(({ kind, name }) => `${kind} ${name}`);
  return new RefusedError(
    `${database} is not cut over: the target lacks ${enumerate(names, maxNamed)}, which was created on the source during replication and could not be created on the target`,
    {
      remedy: `create it on the target, in ${targetName}, or drop it on the source, then cut over again; another object of the target may have its name`,
      code: "PGM-503",
    },
  );
}
