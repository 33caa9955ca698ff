import type { Client } from "pg";
import type { Problem } from "../findings.js";
import { userSchemas } from "../postgres/catalogue-filters.js";
import { controlSchema } from "../postgres/schema-trust.js";

/** A finding about the database of a check's session. */
export type TargetProblem = Omit<Problem, "database">;

/**
 * Looks for one kind of problem in a database of the target. It reads only the catalogue, and no
 * row of a user's table. It calls no function of a user, which would run with the privileges of this session.
 */
export type TargetCheck = (session: Client) => Promise<TargetProblem[]>;

/** SQL condition: a schema belongs to users. @param alias the alias of pg_namespace */
export const checkedSchemas = (alias: string): string =>
  `${userSchemas(alias)} AND ${alias}.nspname <> '${controlSchema}'`;
