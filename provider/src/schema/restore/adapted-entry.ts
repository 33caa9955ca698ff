import { quoteIdentifier } from "../../postgres/identifiers.js";
import type { Entry } from "../sql/toc-entries.js";
import type { RestoreFinding } from "../sql/restore-findings.js";
import { withoutNotNullElements } from "./not-null-elements.js";
import type { RestoreContext } from "./restore-context.js";
import { follows, identifierName } from "../sql/tokenize.js";
import { type Statement, newOwner, parseStatement, splitStatements, withoutSecrets } from "../sql/statements.js";

/** An entry as it is to run on the target: what is left of its statements, and what was given up for that. */
export interface Draft {
  readonly entry: Entry;
  readonly statements: readonly Statement[];
  /** Settings for its transaction, beside those that hold for every entry. */
  readonly settings: Readonly<Record<string, string>>;
  readonly findings: readonly RestoreFinding[];
}

/** How an entry is called in findings and errors. */
export function objectName({ schema, name, type }: Entry): string {
  if (schema === undefined) return name;
  // A comment or an ACL has its object's kind in its name: `TABLE customers`.
  const kind = /^(ACL|COMMENT|SECURITY LABEL)$/.test(type) ? /^[A-Z ]+ /.exec(name)?.[0] : undefined;
  return kind === undefined ? `${schema}.${name}` : `${kind}${schema}.${name.slice(kind.length)}`;
}

export const findingFor = (
  entry: Entry,
  finding: Pick<RestoreFinding, "message" | "remedy" | "severity">,
): RestoreFinding => ({ object: objectName(entry), objectType: entry.type, ...finding });

/** Fits an entry to what the target is known to have: its roles, its tablespaces, its table access methods. */
export function adaptedEntryOf(entry: Entry, context: RestoreContext): Draft {
  const draft: Draft = { entry, statements: splitStatements(entry.sql), settings: {}, findings: [] };
  return withStorage(withContent(draft, context), context);
}

function withContent(draft: Draft, context: RestoreContext): Draft {
  const { type } = draft.entry;
  if (type.endsWith(" OWNER")) return withOwner(draft, context);
  switch (type) {
    case "ACL":
    case "DEFAULT ACL":
      return withKnownGrantees(draft, context);
    case "POLICY":
      return withKnownPolicyRoles(draft, context);
    case "SUBSCRIPTION":
    case "SUBSCRIPTION TABLE":
      return withoutSubscription(draft);
    case "MATERIALIZED VIEW DATA":
      // A view whose owner is subject to policies holds what they let it see, as it does on the source.
      return { ...draft, settings: { ...draft.settings, row_security: "on" } };
    case "TABLE":
    case "FOREIGN TABLE":
      return context.version >= 180000
        ? draft
        : { ...draft, statements: draft.statements.flatMap(withoutNotNullElements) };
    case "SCHEMA":
    case "EXTENSION":
    case "COMMENT":
      return { ...draft, statements: draft.statements.filter((statement) => !isPresentEverywhere(statement)) };
    default:
      return draft;
  }
}

/** Every database has them from the beginning, and a managed server keeps plpgsql for itself. */
const isPresentEverywhere = ({ tokens }: Statement): boolean =>
  follows(tokens, 0, "CREATE", "SCHEMA", "PUBLIC") ||
  follows(tokens, 0, "CREATE", "EXTENSION", "IF", "NOT", "EXISTS", "PLPGSQL") ||
  follows(tokens, 0, "COMMENT", "ON", "EXTENSION", "PLPGSQL");

const withoutStatements = (draft: Draft, finding: Pick<RestoreFinding, "message" | "remedy" | "severity">): Draft => ({
  ...draft,
  statements: [],
  findings: [...draft.findings, findingFor(draft.entry, finding)],
});

function withOwner(draft: Draft, { roles, administrator, resumed }: RestoreContext): Draft {
  const owner = draft.statements.map(newOwner).find((role) => role !== undefined);
  if (owner === undefined) return draft;
  // What this restore has made is the administrator's; a schema may have been there before.
  const isMadeHere = !resumed && draft.entry.type !== "SCHEMA OWNER";
  if (owner === administrator) return isMadeHere ? { ...draft, statements: [] } : draft;
  const role = roles.get(owner);
  // Also of pg_database_owner, which stands for whoever owns the database: the administrator.
  if (role?.mayBecome) return draft;
  const quoted = quoteIdentifier(owner);
  return withoutStatements(draft, {
    message: role
      ? `${administrator} may not give objects to ${owner}, so it owns them itself`
      : `role ${owner} does not exist on the target, so ${administrator} owns its objects`,
    remedy: role
      ? `GRANT ${quoted} TO ${quoteIdentifier(administrator)}, then ALTER ... OWNER TO ${quoted}`
      : `CREATE ROLE ${quoted}, then ALTER ... OWNER TO ${quoted}`,
    severity: "warning",
  });
}

function withKnownGrantees(draft: Draft, context: RestoreContext): Draft {
  const statements: Statement[] = [];
  const findings: RestoreFinding[] = [];
  for (const statement of draft.statements) {
    const grantor = grantorOf(statement);
    const grantee = granteeOf(statement);
    const problem =
      (grantor === undefined ? undefined : whyNotAs(grantor, statement, context)) ??
      (grantee === undefined ? undefined : whyNotTo(grantee, context));
    if (problem === undefined) statements.push(asTransactionRole(statement));
    // To revoke from a role that is not there is to do nothing.
    else if (!isRevoke(statement)) {
      const remedy = "create the role on the target, then grant as on the source";
      findings.push(findingFor(draft.entry, { message: problem, remedy, severity: "warning" }));
    }
  }
  return { ...draft, statements, findings };
}

const isRevoke = ({ tokens }: Statement): boolean =>
  tokens.some((_, index) => follows(tokens, index, "REVOKE")) || follows(tokens, 0, "RESET");

/** The role in whose name a statement grants: pg_dump changes the session's for grants of others than the owner. */
function grantorOf({ tokens }: Statement): string | undefined {
  if (follows(tokens, 0, "SET", "SESSION", "AUTHORIZATION")) return tokens[3] && identifierName(tokens[3]);
  if (!follows(tokens, 0, "ALTER", "DEFAULT", "PRIVILEGES", "FOR", "ROLE")) return undefined;
  return tokens[5] && identifierName(tokens[5]);
}

function granteeOf({ tokens }: Statement): string | undefined {
  if (!tokens.some((_, index) => follows(tokens, index, "GRANT") || follows(tokens, index, "REVOKE"))) return undefined;
  const position = tokens.findLastIndex((_, index) => follows(tokens, index, "TO") || follows(tokens, index, "FROM"));
  const role = tokens[position + 1];
  return role === undefined || follows(tokens, position + 1, "PUBLIC") ? undefined : identifierName(role);
}

function whyNotAs(role: string, statement: Statement, context: RestoreContext): string | undefined {
  const { roles, administrator } = context;
  if (roles.get(role)?.mayBecome) return undefined;
  const reason = roles.has(role)
    ? `${administrator} may not act as ${role}`
    : `role ${role} does not exist on the target`;
  return follows(statement.tokens, 0, "SET")
    ? `${reason}, so what that role had granted is granted by the owner`
    : `${reason}, so its default privileges were left out`;
}

const whyNotTo = (role: string, { roles }: RestoreContext): string | undefined =>
  roles.has(role) ? undefined : `role ${role} does not exist on the target, so its privileges were left out`;

/** Only a superuser may change the session's authorization; a member may take on the role. */
function asTransactionRole(statement: Statement): Statement {
  const { tokens } = statement;
  if (follows(tokens, 0, "RESET", "SESSION", "AUTHORIZATION")) return parseStatement("SET LOCAL ROLE NONE");
  if (!follows(tokens, 0, "SET", "SESSION", "AUTHORIZATION")) return statement;
  return parseStatement(`SET LOCAL ROLE ${quoteIdentifier(identifierName(tokens[3]!))}`);
}

/**
 * A policy keeps those of its roles that exist. With none of them it is left out, never created for PUBLIC, which is what
 * a policy without roles means.
 */
function withKnownPolicyRoles(draft: Draft, { roles }: RestoreContext): Draft {
  const policy = draft.statements[0];
  const list = policy && policyRoles(policy);
  if (!list) return draft;
  const known = list.names.filter((name) => name === "public" || roles.has(name));
  if (known.length === list.names.length) return draft;
  const missing = list.names.filter((name) => !known.includes(name)).join(", ");
  const remedy = `CREATE ROLE, then: ${policy.text}`;
  if (known.length === 0) {
    const message = `of the policy's roles none exists on the target (${missing}), so it was left out`;
    return withoutStatements(draft, { message, remedy, severity: "failed" });
  }
  const kept = known.map((name) => (name === "public" ? "PUBLIC" : quoteIdentifier(name))).join(", ");
  const text = `${policy.text.slice(0, list.start)}${kept}${policy.text.slice(list.end)}`;
  const message = `roles of the policy that do not exist on the target were left out: ${missing}`;
  const finding = findingFor(draft.entry, { message, remedy, severity: "warning" });
  return { ...draft, statements: [parseStatement(text)], findings: [...draft.findings, finding] };
}

function policyRoles({ tokens }: Statement): { names: string[]; start: number; end: number } | undefined {
  if (!follows(tokens, 0, "CREATE", "POLICY")) return undefined;
  const to = tokens.findIndex((_, index) => follows(tokens, index, "TO"));
  const condition = tokens.findIndex((_, index) => follows(tokens, index, "USING") || follows(tokens, index, "WITH"));
  if (to < 0 || (condition >= 0 && condition < to)) return undefined;
  const list = tokens.slice(to + 1, condition < 0 ? undefined : condition);
  const names = list.filter(({ kind }) => kind !== "symbol").map(identifierName);
  return { names, start: list[0]!.start, end: list.at(-1)!.end };
}

/** It would start to pull from its publisher at once, beside the source that still does. */
function withoutSubscription(draft: Draft): Draft {
  const create = draft.statements[0];
  return withoutStatements(draft, {
    message: "subscriptions are not created, since they would start to pull from their publisher",
    remedy: `once the source's is dropped: ${create ? withoutSecrets(create) : "CREATE SUBSCRIPTION"}`,
    severity: "failed",
  });
}

function withStorage(draft: Draft, { tableAccessMethods }: RestoreContext): Draft {
  const { tablespace, accessMethod, type } = draft.entry;
  let result = draft;
  if (
    tablespace !== undefined &&
    tablespace !== "pg_default" &&
    draft.statements.length > 0 &&
    !type.endsWith(" OWNER")
  ) {
    const message = `its tablespace ${tablespace} was left out: it is in the database's default one`;
    result = warned(result, message);
  }
  if (accessMethod === "heap" || (type !== "TABLE" && type !== "MATERIALIZED VIEW")) return result;
  if (tableAccessMethods.has(accessMethod))
    return { ...result, settings: { ...result.settings, default_table_access_method: accessMethod } };
  return warned(result, `the target has no table access method ${accessMethod}: it is an ordinary table`);
}

const warned = (draft: Draft, message: string): Draft => ({
  ...draft,
  findings: [...draft.findings, findingFor(draft.entry, { message, severity: "warning" })],
});
