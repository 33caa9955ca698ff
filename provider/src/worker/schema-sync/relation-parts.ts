import type { Client } from "pg";
import { qualify } from "../../postgres/identifiers.js";
import { type Definitions, dropStatement, keyOf, readDefinitions } from "../../schema/catalogue/definitions.js";
import { isSameDigest } from "../../schema/catalogue/digests.js";
import { relationParts } from "../../schema/catalogue/kinds.js";
import { tables } from "../../schema/catalogue/kinds/relations/tables.js";
import { views } from "../../schema/catalogue/kinds/relations/views.js";
import { readSchema } from "../../schema/catalogue/read-schema.js";
import type { StreamRecord } from "../followers/stream-record.js";
import { runCarried } from "./carried-statement.js";
import { type Copies, isOwn, type KnownCopies, type ObjectsOfBoth, type Sides } from "./followed-objects.js";

/** A part of the target that the source no longer has, or has under another name. */
interface EndedPart {
  /** On the source. */
  readonly id: string;
  /** Its present name on the source, if it was renamed. */
  readonly key?: string;
  readonly drop: string;
}

/** Follows triggers, rules and policies, which the target gets and loses with those of the source. */
export class RelationParts {
  readonly #record: StreamRecord;

  constructor(record: StreamRecord) {
    this.#record = record;
  }

  /** Deployments often drop a trigger or policy and create it again. */
  async renew(source: Client, parts: ObjectsOfBoth): Promise<void> {
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

  /** Those of the target that the source no longer has, or has under another name. */
  ended(sides: Sides): Promise<EndedPart[]> {
    return endedParts(sides, this.#record.following.followedRelationParts ?? {});
  }

  /** A renamed one is then missing, and is restored under its new name. */
  async dropEnded(sides: Sides): Promise<void> {
    for (const { id, key, drop } of await this.ended(sides)) {
      if (!(await runCarried(this.#record, sides.target, drop))) continue;
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
}

/**
 * Parts that the source has dropped and created again as they were. The target keeps their copies.
 *
 * @param definitions the source's definitions when they were last applied to the target
 * @returns the new OIDs by the former ones; both as `catalogueKey`s
 */
async function recreatedParts(
  source: Client,
  parts: ObjectsOfBoth,
  { copies, given, definitions }: Pick<KnownCopies, "copies" | "given"> & { readonly definitions: Definitions },
): Promise<Readonly<Record<string, string>>> {
  const now = parts.onSource.map((part) => [part.id, keyOf(part)] as const);
  const present = new Set(now.map(([id]) => id));
  const former = Object.entries(given).filter(([id]) => !present.has(id));
  const dropped = new Map(former.map(([id, key]) => [key, id]));
  const again = now.filter(([id, key]) => !(id in copies) && dropped.has(key));
  if (again.length === 0) return {};
  const onTarget = new Map(parts.onTarget.map((part) => [part.id, keyOf(part)]));
  const digests = new Map((await readDefinitions(source)).map(({ id, digest }) => [id, digest]));
  const same = again.filter(([id, key]) => {
    const copy = copies[dropped.get(key)!];
    // The copy of a part whose table was dropped is kept with the table.
    const isThere = copy === undefined || onTarget.get(copy) === key;
    return isThere && definitions[key] !== undefined && isSameDigest(definitions[key], digests.get(id) ?? "");
  });
  return Object.fromEntries(same.map(([id, key]) => [dropped.get(key)!, id]));
}

/** Parts of a table or view that the source has dropped are not included: they stay with their relation. */
async function endedParts({ source, target }: Sides, copies: Copies): Promise<EndedPart[]> {
  const all = await readSchema(source, [...relationParts, tables, views], "details");
  const now = new Map(all.filter((one) => one.of !== null && isOwn(one)).map((part) => [part.id, part]));
  const onTarget = new Map(
    (await readSchema(target, relationParts, "details")).filter(isOwn).map((part) => [part.id, part]),
  );
  const relations = new Set(all.filter(({ of }) => of === null).map(nameOf));
  return Object.entries(copies).flatMap(([id, copyId]) => {
    const [part, copy] = [now.get(id), onTarget.get(copyId)];
    if (!copy || !relations.has(nameOf(copy.of!))) return [];
    // A table that was renamed is renamed with its parts.
    const isRenamed = part !== undefined && nameOf(part.of!) === nameOf(copy.of!) && part.name !== copy.name;
    if (part !== undefined && !isRenamed) return [];
    return [{ id, ...(part ? { key: keyOf(part) } : {}), drop: dropStatement(copy) }];
  });
}

const nameOf = ({ schema, name }: { readonly schema: string; readonly name: string }): string => qualify(schema, name);
