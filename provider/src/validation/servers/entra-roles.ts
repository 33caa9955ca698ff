import {
  createEntraRole,
  entraDatabase,
  isEntraAdministrator,
  missingEntraRoles,
} from "../../schema/database/entra-roles.js";
import { enumerate } from "../../units/enumerate.js";
import type { Rule } from "../context.js";

/**
 * 603103: roles of Microsoft Entra on the source exist on the target. CREATE ROLE would create ordinary ones. An Entra
 * administrator creates the missing ones with the other roles.
 */
export const entraRoles: Rule = async ({ sources, target, spec }) => {
  const [source] = sources.values();
  if (!source || !spec.migrateRoles) return [];
  const missing = await missingEntraRoles(source, target);
  if (missing.length === 0 || (await isEntraAdministrator(target))) return [];
  const { rows } = await target.query("SELECT FROM pg_roles WHERE rolname = 'azure_pg_admin'");
  const names = missing.map(({ name }) => name);
  return [
    {
      type: "AuthenticationAndConnectivityValidation",
      // Elsewhere than on Azure nothing else can be done.
      state: rows.length > 0 ? "Failed" : "Warning",
      code: "603103",
      object: names[0],
      objectType: "Instance",
      message: `roles of Microsoft Entra are missing on the target: ${enumerate(names, 20)}; created as ordinary roles, they could not log in with a token`,
      remedy: `set the target's user to an Entra administrator, with auth: { kind: "entra" }: the migration then creates them. Or as such an administrator, in the database ${entraDatabase} of the target: ${missing
        .slice(0, 5)
        .map((role) => createEntraRole(role))
        .join("; ")}`,
    },
  ];
};
