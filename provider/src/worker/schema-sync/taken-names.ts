import type { Client } from "pg";
import { RefusedError } from "../../errors.js";
import { qualify } from "../../postgres/identifiers.js";
import type { Table } from "../../postgres/tables.js";
import { enumerate } from "../../units/enumerate.js";
import type { FollowedTables } from "../schema-diff/followed-tables.js";
import type { NewObjects } from "./new-objects.js";

/**
 * Refuses tables of the target that are not known as copies, have the name of a source's table, and belong to another
 * role. That role's triggers would run with the rights of the target's role, and it would keep the copied rows. A copy
 * that an interrupted worker created belongs to the target's role, or to the owner of its original.
 *
 * @throws RefusedError naming the tables, their owners and the remedy
 */
export async function refuseTakenNames(
  { source, target }: Pick<NewObjects, "source" | "target">,
  sourceTables: readonly Table[],
  targetTables: readonly Table[],
  followed: FollowedTables,
): Promise<void> {
  const originals = new Map(sourceTables.map((table) => [qualify(table.schema, table.name), table.oid]));
  const known = new Set(Object.values(followed));
  // The service's superuser owns the tables of extensions.
  const unknown = targetTables.filter(
    ({ schema, name, oid, extensionConfiguration }) =>
      originals.has(qualify(schema, name)) && !known.has(oid) && !extensionConfiguration,
  );
  if (unknown.length === 0) return;
  const onTarget = await readOwners(
    target,
    unknown.map(({ oid }) => oid),
  );
  const onSource = await readOwners(source, [...originals.values()]);
  const taken = unknown.flatMap(({ schema, name, oid }) => {
    const table = qualify(schema, name);
    const owner = onTarget.get(oid);
    if (owner === undefined || owner.isTrusted || owner.name === onSource.get(originals.get(table)!)?.name) return [];
    return [`${table} of ${owner.name}`];
  });
  if (taken.length === 0) return;
  throw new RefusedError(
    `the target has tables of other roles under names of the source's tables, which are therefore not copied: ${enumerate(taken, 10)}`,
    {
      remedy: "find out why these roles created them, then drop or rename them on the target",
      code: "PGM-503",
    },
  );
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
