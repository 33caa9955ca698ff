import { userSchemas } from "../../postgres/catalogue-filters.js";
import type { Client } from "pg";
import { quoteIdentifier } from "../../postgres/identifiers.js";
import type { MigrationSpec } from "../../inputs/inputs.js";
import { readSelection } from "../../schema/plan/selection.js";
import { sourceDatabase, targetDatabase } from "../../inputs/target-database.js";
import type { Finding } from "../../findings.js";
import type { Rule, SourceRule } from "../context.js";
import { usedDatabases } from "../../schema/database/used-databases.js";
import { enumerate } from "../../units/enumerate.js";

const type = "AuthenticationAndConnectivityValidation";

/** 603101, 603117, PGM-312: the target databases can be created, and existing ones are overwritten only on request. */
export const targetDatabases: Rule = async ({ spec, target, ownDatabases, occupied }) => {
  const { rows } = await target.query<{ name: string; owner: string; may_drop: boolean }>(
    `SELECT datname AS name, pg_get_userbyid(datdba) AS owner, pg_has_role(datdba, 'USAGE') AS may_drop
       FROM pg_database WHERE datname = ANY ($1)`,
    [spec.dbsToMigrate.map((database) => targetDatabase(spec, database))],
  );
  const findings: Finding[] = [];
  for (const [database, migration] of occupied) {
    findings.push({
      database: sourceDatabase(spec, database),
      type,
      state: "Failed",
      code: "PGM-303",
      object: database,
      objectType: "Database",
      message: `the migration ${migration} uses ${database} on this target`,
      remedy: `wait until ${migration} has ended, or destroy it`,
    });
  }
  if (spec.dataOnly) return [...findings, ...missingDatabases(spec, new Set(rows.map(({ name }) => name)))];
  const existing = rows.filter(({ name }) => !ownDatabases.has(name) && !occupied.has(name));
  const replaced = spec.overwriteDbsInTarget ? existing.map(({ name }) => name) : [];
  const used = new Map((await usedDatabases(target, replaced)).map((one) => [one.database, one]));
  for (const { name, owner, may_drop } of existing) {
    const common = {
      database: sourceDatabase(spec, name),
      type,
      object: name,
      objectType: "Database",
      state: "Failed",
    } as const;
    if (!spec.overwriteDbsInTarget)
      findings.push({
        ...common,
        code: "603101",
        message: `the database ${name} exists on the target already`,
        remedy: `set overwriteDbsInTarget to true to replace it, or DROP DATABASE ${quoteIdentifier(name)} on the target`,
      });
    else if (!may_drop)
      findings.push({
        ...common,
        code: "603117",
        message: `${spec.target.user} may not drop the database ${name}, which belongs to ${owner}`,
        remedy: `ALTER DATABASE ${quoteIdentifier(name)} OWNER TO ${quoteIdentifier(spec.target.user)} on the target`,
      });
    const use = used.get(name);
    if (use) findings.push({ ...common, code: "PGM-312", message: use.message, remedy: use.remedy });
  }
  return [...findings, ...(await mayCreateDatabases(target, spec.target.user))];
};

function missingDatabases(spec: MigrationSpec, existing: ReadonlySet<string>): Finding[] {
  const missing = spec.dbsToMigrate.filter((database) => !existing.has(targetDatabase(spec, database)));
  return missing.map((database) => ({
    database,
    type,
    state: "Failed",
    code: "PGM-304",
    object: targetDatabase(spec, database),
    objectType: "Database",
    message: `dataOnly needs the database ${targetDatabase(spec, database)} on the target, where it does not exist`,
    remedy: "migrate with schemaOnly first, or remove dataOnly",
  }));
}

async function mayCreateDatabases(target: Client, user: string): Promise<Finding[]> {
  const { rows } = await target.query<{ may: boolean }>(
    "SELECT rolcreatedb OR rolsuper AS may FROM pg_roles WHERE rolname = current_user",
  );
  if (rows[0]?.may) return [];
  return [
    {
      type,
      state: "Failed",
      code: "PGM-301",
      object: user,
      objectType: "Instance",
      message: `${user} may not create databases on the target`,
      remedy: `ALTER ROLE ${quoteIdentifier(user)} CREATEDB`,
    },
  ];
}

/** 603110: all objects to be migrated are readable, with all rows. Objects excluded by a filter need not be. */
export const sourcePrivileges: SourceRule = async ({ spec, sources }) => {
  const findings: Finding[] = [];
  for (const [database, client] of sources) {
    const common = {
      database,
      type,
      code: "603110",
      object: database,
      objectType: "Database",
      state: "Failed",
    } as const;
    const { cut } = await readSelection(client, spec);
    const selected = (relations: readonly Relation[]): string[] =>
      relations.filter(({ key }) => !cut.has(key)).map(({ name }) => name);
    const unreadable = selected(await unreadableRelations(client));
    if (unreadable.length > 0)
      findings.push({
        ...common,
        message: `${spec.source.user} may not read ${enumerate(unreadable)} in ${database}`,
        remedy: `GRANT USAGE ON SCHEMA ... TO ${quoteIdentifier(spec.source.user)}; GRANT SELECT ON ALL TABLES IN SCHEMA ... TO ${quoteIdentifier(spec.source.user)}; the same for sequences`,
      });
    const objects = await unreadableLargeObjects(client);
    if (objects.length > 0)
      findings.push({
        ...common,
        message: `${spec.source.user} may not read the large objects ${enumerate(objects)} in ${database}`,
        remedy: `GRANT SELECT ON LARGE OBJECT ${objects.slice(0, 5).join(", ")} TO ${quoteIdentifier(spec.source.user)}`,
      });
    const filtered = selected(await rowSecuredTables(client));
    if (filtered.length > 0)
      findings.push({
        ...common,
        message: `row-level security would hide rows of ${enumerate(filtered)} in ${database} from ${spec.source.user}`,
        remedy: `ALTER ROLE ${quoteIdentifier(spec.source.user)} BYPASSRLS`,
      });
  }
  return findings;
};

interface Relation {
  readonly name: string;
  /** Its {@link catalogueKey}. */
  readonly key: string;
}

const relation = "format('%I.%I', n.nspname, c.relname) AS name, 'pg_class'::regclass::oid || '/' || c.oid AS key";

const userRelations = `${userSchemas("n")}
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')`;

async function unreadableRelations(client: Client): Promise<Relation[]> {
  const { rows } = await client.query<Relation>(
    `SELECT ${relation}
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind IN ('r', 'p', 'S', 'm') AND ${userRelations}
        AND NOT (has_schema_privilege(n.oid, 'USAGE')
                 AND CASE c.relkind WHEN 'S' THEN has_sequence_privilege(c.oid, 'SELECT')
                                    ELSE has_table_privilege(c.oid, 'SELECT') END)
      ORDER BY 1`,
  );
  return rows;
}

async function unreadableLargeObjects(client: Client): Promise<string[]> {
  const { rows } = await client.query<{ oid: string }>(
    // An owner may have revoked its own privilege.
    `SELECT l.oid::text AS oid FROM pg_largeobject_metadata l
      WHERE NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
        AND NOT EXISTS (SELECT FROM aclexplode(coalesce(l.lomacl, acldefault('L', l.lomowner))) a
                         WHERE a.privilege_type = 'SELECT' AND (a.grantee = 0 OR pg_has_role(a.grantee, 'USAGE')))
      ORDER BY l.oid LIMIT 50`,
  );
  return rows.map(({ oid }) => oid);
}

async function rowSecuredTables(client: Client): Promise<Relation[]> {
  // Sessions of the engine run with row_security off, under which the function returns the result for a role that
  // enforces policies.
  const { rows } = await client.query<Relation>(
    `SELECT ${relation}
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
       JOIN pg_roles me ON me.rolname = current_user
      WHERE c.relkind IN ('r', 'p') AND ${userRelations} AND c.relrowsecurity
        AND NOT (me.rolsuper OR me.rolbypassrls)
        AND (c.relforcerowsecurity OR NOT pg_has_role(c.relowner, 'USAGE'))
      ORDER BY 1`,
  );
  return rows;
}
