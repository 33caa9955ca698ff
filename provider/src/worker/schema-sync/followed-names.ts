import { isDeepStrictEqual } from "node:util";
import type { ChangeRule } from "../../schema/catalogue/change-rule.js";
import { restoredRule } from "../../schema/catalogue/change-rules.js";
import { referenceTo, renameStatements } from "../../schema/catalogue/definitions.js";
import type { SchemaObject } from "../../schema/catalogue/read-schema.js";
import { qualify, quoteIdentifier, type RelationName, temporaryName } from "../../postgres/identifiers.js";
import { readSelection } from "../../schema/plan/selection.js";
import type { StreamRecord } from "../followers/stream-record.js";
import { inOrder } from "../schema-diff/followed-parts.js";
import { runCarried } from "./carried-statement.js";
import {
  type Copies,
  type FollowedObjects,
  type ObjectsOfBoth,
  pairCopies,
  presentOnly,
  readFollowedObjects,
} from "./followed-objects.js";
import type { NewObjects } from "./new-objects.js";
import { type Prerequisites, sequenceOwners } from "./prerequisites.js";
import type { RelationParts } from "./relation-parts.js";
import { refuseTakenObjects } from "./taken-names.js";

/** A statement that gives a copy the present name of its original. */
interface RenamedObject {
  /** On the source. */
  readonly id: string;
  readonly rule: ChangeRule;
  readonly sql: string;
}

/** Follows the names of objects other than tables: finds their copies, and gives these their present names. */
export class FollowedNames {
  readonly #record: StreamRecord;
  readonly #parts: RelationParts;
  readonly #prerequisites: Prerequisites;

  constructor(record: StreamRecord, parts: RelationParts, prerequisites: Prerequisites) {
    this.#record = record;
    this.#parts = parts;
    this.#prerequisites = prerequisites;
  }

  /**
   * Before names change on the target: finds the copies of the source's objects.
   *
   * @param mayRename gives them their present names
   * @returns whether it gave any
   */
  async follow(objects: NewObjects, mayRename: boolean): Promise<boolean> {
    const both = await readFollowedObjects(objects);
    await this.#parts.renew(objects.source, both.parts);
    await this.#findCopies(objects, both);
    const renamed = mayRename ? await this.#renamed(objects, both) : [];
    if (renamed.length === 0) return false;
    await refuseTakenObjects(objects);
    await this.#prerequisites.restoreSchemas(objects);
    let isAny = false;
    for (const { sql } of renamed) isAny = (await runCarried(this.#record, objects.target, sql)) || isAny;
    return isAny;
  }

  /** The statements that give copies their present names. */
  async renamed(objects: NewObjects): Promise<readonly RenamedObject[]> {
    return this.#renamed(objects, await readFollowedObjects(objects));
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

  async #renamed(objects: NewObjects, { others }: FollowedObjects): Promise<readonly RenamedObject[]> {
    const { followedObjects = {} } = this.#record.following;
    const renamed = (cut: ReadonlySet<string>, owned: ReadonlySet<number>): RenamedObject[] =>
      renamedObjects(others, followedObjects, { without: cut, owned });
    if (renamed(new Set(), new Set()).length === 0) return [];
    const { cut } = await readSelection(objects.source, this.#record.work.spec);
    return renamed(cut, new Set((await sequenceOwners(objects.target)).keys()));
  }
}

/**
 * Objects that the source has renamed or moved since the target got them, in an order in which no name is used twice. Omits
 * those whose name the target has for another object.
 *
 * @param without objects of the source that the filters exclude now
 * @param owned sequences of the target that tables own. They move with their tables.
 */
function renamedObjects(
  { onSource, onTarget }: ObjectsOfBoth,
  copies: Copies,
  { without, owned }: { readonly without: ReadonlySet<string>; readonly owned: ReadonlySet<number> },
): RenamedObject[] {
  const byId = new Map(onTarget.map((object) => [object.id, object]));
  const taken = new Set(onTarget.map((object) => placeOf(object)));
  const renames = new Map<string, Rename>();
  for (const { id, schema, name } of onSource) {
    const copy = byId.get(copies[id] ?? "");
    if (!copy || without.has(id)) continue;
    const to = { schema: owned.has(Number(copy.oid)) ? copy.schema : schema, name };
    if (placeOf(copy, to) !== placeOf(copy)) renames.set(placeOf(copy), { id, copy, to });
  }
  // What stays blocks the objects that need its name, and these block others.
  for (let size = -1; size !== renames.size;) {
    size = renames.size;
    for (const [from, { copy, to }] of renames) {
      const place = placeOf(copy, to);
      if (taken.has(place) && !renames.has(place)) renames.delete(from);
    }
  }
  const statements: RenamedObject[] = [];
  inOrder(
    [...renames].map(([from, { copy, to }]) => [from, placeOf(copy, to)]),
    (from, to) => {
      const { id, copy, ...rename } = renames.get(from)!;
      const aside = { schema: copy.schema, name: temporaryName(copy.name) };
      const isAside = to !== placeOf(copy, rename.to);
      if (isAside) renames.set(to, { id, copy: { ...copy, ...aside }, to: rename.to });
      const sql = renameStatement(copy, isAside ? aside : rename.to);
      statements.push({ id, rule: restoredRule(copy.kind, "renamed")!, sql });
      return sql;
    },
  );
  return statements;
}

interface Rename {
  readonly id: string;
  /** With the name that it has when the statement runs. */
  readonly copy: SchemaObject;
  readonly to: RelationName;
}

/** Unique among the names of a catalogue: those of functions include the arguments. */
const placeOf = (object: SchemaObject, { schema, name }: RelationName = object): string =>
  JSON.stringify([object.id.split("/", 1)[0], schema, name, argumentsOf(object)]);

/** What follows the name in an identity: `(integer)`, ` USING btree`. */
const argumentsOf = ({ identity }: SchemaObject): string =>
  /^(?:(?:"(?:[^"]|"")*"|[^".]+)\.)?(?:"(?:[^"]|"")*"|[^"\s(]+)(.*)$/s.exec(identity)?.[1] ?? "";

function renameStatement(copy: SchemaObject, to: RelationName): string {
  const refer = ({ schema, name }: RelationName): string => {
    // An operator is never renamed, and its name cannot be quoted.
    if (copy.kind === "operator") return copy.identity;
    const qualified = schema === "" ? quoteIdentifier(name) : qualify(schema, name);
    return referenceTo(copy.kind, `${qualified}${argumentsOf(copy)}`);
  };
  return renameStatements(copy.kind.toUpperCase(), copy, to, refer).join("; ");
}
