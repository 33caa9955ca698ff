import type { Client } from "pg";
import { RefusedError } from "../../errors.js";
import { qualify } from "../../postgres/identifiers.js";
import type { Table } from "../../postgres/tables.js";
import { enumerate } from "../../units/enumerate.js";
import type { FollowedTables } from "../schema-diff/followed-tables.js";
import type { NewObjects } from "./new-objects.js";

/** A table of the source, and the role that has taken its name on the target. */
export interface TakenName {
  /** Qualified and quoted. */
  readonly table: string;
  /** The OID of the source's table. */
  readonly oid: number;
  readonly owner: string;
}

/** Tables of the source are not copied, because other roles have taken their names on the target. */
export class NamesTaken extends RefusedError {
  constructor(taken: readonly TakenName[]) {
    const named = taken.map(({ table, owner }) => `${table} of ${owner}`);
    super(
      `the target has tables of other roles under names of the source's tables, which are therefore not copied: ${enumerate(named, 10)}`,
      {
        remedy: "find out why these roles created them, then drop or rename them on the target",
        code: "PGM-503",
      },
    );
  }
}

/**
 * Finds tables of the target that are not known as copies, have the name of a source's table, and belong to another
 * role. That role's triggers would run with the rights of the target's role, and it would keep the copied rows. A copy
 * that an interrupted worker created belongs to the target's role, or to the owner of its original.
 */
export async function readTakenNames(
  { source, target }: Pick<NewObjects, "source" | "target">,
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
