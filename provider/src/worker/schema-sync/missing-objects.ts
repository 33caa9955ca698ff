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
import { readObjectSettings } from "../../schema/catalogue/object-settings.js";
import { readSchema } from "../../schema/catalogue/read-schema.js";
import { shownSql } from "../../schema/sql/shown-entry.js";
import { hiddenValueHint, withoutSemicolon } from "../../schema/sql/statements.js";
import { catalogueKey } from "../../schema/sql/toc-entries.js";
import { enumerate } from "../../units/enumerate.js";
import { compareSchema, type SchemaDifference } from "../../verify/compare-schema.js";
import type { Followers } from "../followers/followers.js";
import type { StreamRecord } from "../followers/stream-record.js";
import { mergeRestored } from "../followers/stream-state.js";
import type { PausingChange } from "../schema-diff/schema-change.js";
import { carrySettings, dueSettings } from "./carried-settings.js";
import { FollowedNames } from "./followed-names.js";
import { missingStatements, type NewObjects, restoreMissing } from "./new-objects.js";
import { isPrerequisite, missingPrerequisites, Prerequisites } from "./prerequisites.js";
import { RelationParts } from "./relation-parts.js";

/** Restores objects that the target lacks, other than tables and columns: functions, views, indexes, constraints. */
export class MissingObjects {
  /** Triggers, rules and policies. */
  readonly parts: RelationParts;
  readonly names: FollowedNames;
  readonly #record: StreamRecord;
  readonly #followers: Followers;
  readonly #prerequisites: Prerequisites;

  constructor(record: StreamRecord, followers: Followers) {
    this.#record = record;
    this.#followers = followers;
    this.parts = new RelationParts(record);
    this.#prerequisites = new Prerequisites(record);
    this.names = new FollowedNames(record, this.parts, this.#prerequisites);
  }

  /** Changes for the operator that create types and similar objects, which new columns and tables need. */
  async prerequisites(objects: NewObjects, renamedTypes: ReadonlySet<string>): Promise<PausingChange[]> {
    if (!(await this.#lacksAny(objects, isPrerequisite))) return [];
    const renamed = await this.names.renamed(objects);
    const isRenamed = new Set(renamed.map(({ id }) => id));
    const missing = (await missingPrerequisites(objects, renamedTypes))
      .filter((entry) => !isRenamed.has(catalogueKey(entry)))
      .map((entry) => ({ rule: restoredRule(entry.type, "created")!, sql: withoutSemicolon(shownSql(entry)) }));
    return schemasFirst([...renamed, ...missing]).map(({ rule, sql }) => ({
      rule,
      sql,
      tables: [],
      runBy: "operator",
    }));
  }

  /** Restores types and similar objects that new columns need. */
  async restorePrerequisites(objects: NewObjects, renamedTypes: ReadonlySet<string>): Promise<void> {
    if (await this.#lacksAny(objects, isPrerequisite)) await this.#prerequisites.restore(objects, renamedTypes);
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
    await this.names.follow(objects, isCarried);
    if (isCarried) await this.parts.dropEnded(objects);
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
    await carrySettings(this.#record, objects);
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
    const { database, targetName } = this.#record;
    const renamed = await this.names.renamed(objects);
    const objectsDiffer = redefined.length > 0 || (await this.#lacksAny(objects));
    const settings = await dueSettings(this.#record, await readObjectSettings(objects.source), objects.target);
    const ended = (await this.parts.ended(objects)).map(({ drop }) => drop);
    const isRenamed = new Set(renamed.map(({ id }) => id));
    const missing = objectsDiffer ? await missingStatements(objects, redefined, isRenamed) : [];
    const due = [...ended, ...renamed.map(({ sql }) => sql), ...missing, ...settings].map((sql) => ({ sql }));
    if (due.length === 0) return;
    const statements = schemasFirst(due)
      .map(({ sql }) => withoutSemicolon(sql))
      .join("; ");
    throw new RefusedError(`${database} is not cut over: the source's schema has changed, and schemaChanges is pause`, {
      remedy: `on the target, in ${targetName}${hiddenValueHint(statements)}: ${statements}; then cut over again. Or set schemaChanges to carry`,
      code: "PGM-503",
    });
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

const maxNamed = 10;

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
