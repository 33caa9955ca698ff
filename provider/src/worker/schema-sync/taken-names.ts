import type { Client } from "pg";
import { RefusedError } from "../../errors.js";
import { qualify, quoteIdentifier } from "../../postgres/identifiers.js";
import type { Table } from "../../postgres/tables.js";
import {
  type ObjectPlace,
  objectsAt,
  type OwnedObject,
  placeKey,
  untrustedObjects,
} from "../../postgres/untrusted-objects.js";
import { readSelection } from "../../schema/plan/selection.js";
import { enumerate } from "../../units/enumerate.js";
import type { Work } from "../context/work.js";
import type { FollowedTables } from "../schema-diff/followed-tables.js";
import type { Sides } from "./followed-objects.js";

/** A table of the source, and the role that has taken its name on the target. */
export interface TakenName {
  /** Qualified and quoted. */
  readonly table: string;
  /** The OID of the source's table. */
  readonly oid: number;
  readonly owner: string;
}

/** Other roles have taken names of the source's objects on the target. */
export class NamesTaken extends RefusedError {
  private constructor(what: string, taken: readonly string[], remedy: string) {
    super(`${what}: ${enumerate(taken, 10)}`, { remedy, code: "PGM-503" });
  }

  static ofTables(taken: readonly TakenName[]): NamesTaken {
    return new NamesTaken(
      "the target has tables of other roles under names of the source's tables, which are therefore not copied",
      taken.map(({ table, owner }) => `${table} of ${owner}`),
      "find out why these roles created them, then drop or rename them on the target",
    );
  }

  static ofObjects(taken: readonly OwnedObject[]): NamesTaken {
    return new NamesTaken(
      "the target has objects of other roles under names of the source's objects, so no schema change is applied: their code would run with the rights of the migration's role",
      taken.map(({ kind, schema, name, owner }) => `${kind} ${titleOf({ schema, name })} of ${owner}`),
      "find out why these roles created them, then drop or rename them on the target; if such a role may act for the migration's role, GRANT it to that role",
    );
  }
}

const titleOf = ({ schema, name }: Omit<ObjectPlace, "kind">): string =>
  schema === "" ? quoteIdentifier(name) : qualify(schema, name);

/**
 * Requires that no other role has taken the name of an object of the source, apart from the tables of {@link readTakenNames}.
 * Otherwise the worker would take a function, type or schema of that role for its own copy, and would call it. Call it
 * immediately before statements that may refer to such objects.
 *
 * @throws NamesTaken
 */
export async function refuseTakenObjects({ work, source, target }: Sides & { readonly work: Work }): Promise<void> {
  // With dataOnly the operator prepared the objects.
  if (work.spec.dataOnly) return;
  const untrusted = await untrustedObjects(target);
  if (untrusted.length === 0) return;
  const { cut } = await readSelection(source, work.spec);
  const onSource = new Map<string, OwnedObject[]>();
  for (const object of await objectsAt(source, untrusted)) {
    if (cut.has(object.key)) continue;
    onSource.set(placeKey(object), [...(onSource.get(placeKey(object)) ?? []), object]);
  }
  const taken = untrusted.filter((object) => {
    const originals = onSource.get(placeKey(object)) ?? [];
    const isTable = object.isTable && originals.every((one) => one.isTable);
    return originals.length > 0 && !isTable && originals.every(({ owner }) => owner !== object.owner);
  });
  if (taken.length > 0) throw NamesTaken.ofObjects(taken);
}

/**
 * Finds tables of the target that are not known as copies, have the name of a source's table, and belong to another
 * role. That role's triggers would run with the rights of the target's role, and it would keep the copied rows. A copy
 * that an interrupted worker created belongs to the target's role, or to the owner of its original.
 */
export async function readTakenNames(
  { source, target }: Sides,
  sourceTables: readonly Table[],
  targetTables: readonly Table[],
  followed: FollowedTables,
): Promise<readonly TakenName[]> {
  const originals = new Map(sourceTables.map((table) => [qualify(table.schema, table.name), table.oid]));
  const known = new Set(Object.values(followed));
  // The service's superuser owns the tables of extensions.
  const unknown = targetTables.filter(
    ({ schema, name, oid, extensionConfiguration }) =>
      originals.has(qualify(schema, name)) && !known.has(oid) && !extensionConfiguration,
  );
  if (unknown.length === 0) return [];
  const onTarget = await readOwners(
    target,
    unknown.map(({ oid }) => oid),
  );
  const onSource = await readOwners(source, [...originals.values()]);
  return unknown.flatMap((copy) => {
    const table = qualify(copy.schema, copy.name);
    const oid = originals.get(table)!;
    const owner = onTarget.get(copy.oid);
    if (owner === undefined || owner.isTrusted || owner.name === onSource.get(oid)?.name) return [];
    return [{ table, oid, owner: owner.name }];
  });
}

interface Owner {
  readonly name: string;
  /** A superuser, or the session's role. */
  readonly isTrusted: boolean;
}

async function readOwners(session: Client, oids: readonly number[]): Promise<ReadonlyMap<number, Owner>> {
  const { rows } = await session.query<Owner & { oid: string }>(
    `SELECT c.oid::int8, r.rolname AS name, r.rolsuper OR r.rolname = current_user AS "isTrusted"
       FROM pg_catalog.pg_class c JOIN pg_catalog.pg_roles r ON r.oid = c.relowner WHERE c.oid = ANY ($1)`,
    [oids],
  );
  return new Map(rows.map(({ oid, ...owner }) => [Number(oid), owner]));
}
