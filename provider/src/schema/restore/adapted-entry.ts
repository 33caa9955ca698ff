import type { FindingCode } from "../../finding-codes/finding-code.js";
import { qualify, quoteIdentifier } from "../../postgres/identifiers.js";
import { type Entry, isProperty } from "../sql/toc-entries.js";
import type { RestoreFinding } from "../sql/restore-findings.js";
import { withoutNotNullElements } from "./not-null-elements.js";
import type { RestoreContext } from "./restore-context.js";
import { follows, identifierName } from "../sql/tokenize.js";
import {
  type Statement,
  grantedRelation,
  newOwner,
  parseStatement,
  splitStatements,
  withoutSecrets,
} from "../sql/statements.js";

/** An entry adapted to the target: the remaining statements, and findings about the changes. */
export interface Draft {
  readonly entry: Entry;
  readonly statements: readonly Statement[];
  /** Additional settings of its transaction. */
  readonly settings: Readonly<Record<string, string>>;
  readonly findings: readonly RestoreFinding[];
}

/** Name of an entry in findings and errors. */
export function objectName({ schema, name, type }: Entry): string {
  if (schema === undefined) return name;
  // The name of a comment or an ACL starts with its object's kind: `TABLE customers`.
  const kind = /^(ACL|COMMENT|SECURITY LABEL)$/.test(type) ? /^[A-Z ]+ /.exec(name)?.[0] : undefined;
  return kind === undefined ? `${schema}.${name}` : `${kind}${schema}.${name.slice(kind.length)}`;
}

/** Kind and name of an entry's object, for messages. */
export const describeEntry = (entry: Entry): string => `${entry.type} ${objectName(entry)}`;

export const findingFor = (
  entry: Entry,
  finding: Pick<RestoreFinding, "code" | "message" | "remedy" | "state">,
): RestoreFinding => ({ object: objectName(entry), objectType: entry.type, ...finding });

/** Adapts an entry to the target's roles, tablespaces and table access methods. */
export function adaptedEntryOf(entry: Entry, context: RestoreContext): Draft {
  const draft: Draft = { entry, statements: splitStatements(entry.sql), settings: {}, findings: [] };
  return withStorage(withContent(draft, context), context);
}

function withContent(draft: Draft, context: RestoreContext): Draft {
  const { type } = draft.entry;
  if (type.endsWith(" OWNER")) return withOwner(draft, context);
  if (type.endsWith(" DEFINER")) return withDefiner(draft, context);
  switch (type) {
    case "ACL":
      return withGrants(draft, context);
    case "DEFAULT ACL":
      return withKnownGrantees(draft, context);
    case "POLICY":
      return withKnownPolicyRoles(draft, context);
    case "SUBSCRIPTION":
    case "SUBSCRIPTION TABLE":
      return withoutSubscription(draft);
    case "MATERIALIZED VIEW DATA":
      // If policies apply to the owner of a materialized view, it contains only the visible rows, as on the source.
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

/** These exist in every database. On a managed server plpgsql belongs to the service. */
const isPresentEverywhere = ({ tokens }: Statement): boolean =>
  follows(tokens, 0, "CREATE", "SCHEMA", "PUBLIC") ||
  follows(tokens, 0, "CREATE", "EXTENSION", "IF", "NOT", "EXISTS", "PLPGSQL") ||
  follows(tokens, 0, "COMMENT", "ON", "EXTENSION", "PLPGSQL");

const withoutStatements = (
  draft: Draft,
  finding: Pick<RestoreFinding, "code" | "message" | "remedy" | "state">,
): Draft => ({
  ...draft,
  statements: [],
  findings: [...draft.findings, findingFor(draft.entry, finding)],
});

function withOwner(draft: Draft, { roles, administrator, resumed }: RestoreContext): Draft {
  const owner = draft.statements.map(newOwner).find((role) => role !== undefined);
  if (owner === undefined) return draft;
  // The administrator owns everything that this restore created. A schema may have existed before.
  const isMadeHere = !resumed && draft.entry.type !== "SCHEMA OWNER";
  if (owner === administrator) return isMadeHere ? { ...draft, statements: [] } : draft;
  const role = roles.get(owner);
  // This includes pg_database_owner, of which the database's owner, the administrator, is a member.
  if (role?.mayBecome) return draft;
  const quoted = quoteIdentifier(owner);
  return withoutStatements(draft, {
    code: ownerCode(draft.entry, owner, role !== undefined),
    message: role
      ? `${administrator} may not give objects to ${owner}, so it owns them itself`
      : `role ${owner} does not exist on the target, so ${administrator} owns its objects`,
    remedy: role
      ? `GRANT ${quoted} TO ${quoteIdentifier(administrator)}, then ALTER ... OWNER TO ${quoted}`
      : `CREATE ROLE ${quoted}, then ALTER ... OWNER TO ${quoted}`,
    state: "Warning",
  });
}

function withDefiner(draft: Draft, context: RestoreContext): Draft {
  const { entry } = draft;
  const { needsOwner, owner = "" } = entry;
  if (!needsOwner || owner === context.administrator) return draft;
  if (!context.roles.get(owner)?.mayBecome) return asInvoker(entry, context);
  // Without effect if the function has this owner. Otherwise the target refuses it again, and SECURITY DEFINER with it.
  const ownerChange = parseStatement(`${alteredRoutine(entry)}OWNER TO ${quoteIdentifier(owner)}`);
  return { ...draft, statements: [ownerChange, ...draft.statements] };
}

/** Without its owner, a function of an owner who is not trusted runs with the privileges of its caller. */
export function asInvoker(entry: Entry, { roles, administrator }: RestoreContext): Draft {
  const { owner = "" } = entry;
  const routine = alteredRoutine(entry);
  const finding = findingFor(entry, {
    code: roles.has(owner) ? "PGM-431" : "PGM-430",
    message: `it is SECURITY INVOKER on the target, because ${administrator} owns it: code of ${owner} must not run with the privileges of ${administrator}`,
    remedy: `give the function to a role with the privileges of ${owner}: ${routine}OWNER TO ...; then ${routine}SECURITY DEFINER`,
    state: "Warning",
  });
  // An earlier version may have created it as SECURITY DEFINER.
  const statements = [parseStatement(`${routine}SECURITY INVOKER`)];
  return { entry, statements, settings: {}, findings: [finding] };
}

/** `ALTER FUNCTION x.y() ` of an entry that makes the function SECURITY DEFINER. */
function alteredRoutine({ sql }: Entry): string {
  const [alter] = splitStatements(sql);
  return alter!.text.slice(0, alter!.tokens.at(-2)!.start);
}

/** Grants on what runs as its owner, only after the owner has it. */
function withGrants(draft: Draft, context: RestoreContext): Draft {
  const { needsOwner, owner = "" } = draft.entry;
  const isNeeded = needsOwner === true || (needsOwner === "before15" && context.version < 150000);
  if (!isNeeded || owner === context.administrator) return withKnownGrantees(draft, context);
  if (!context.roles.get(owner)?.mayBecome) return withoutGrants(draft.entry, context);
  const granted = withKnownGrantees(draft, context);
  const change = granted.statements.map((statement) => ownerChange(statement, owner)).find((one) => one !== undefined);
  return change ? { ...granted, statements: [change, ...granted.statements] } : granted;
}

/**
 * Without its owner, a view, or a table with rules, runs with the privileges of the administrator. Other roles then get no
 * privileges on it.
 */
export function withoutGrants(entry: Entry, { roles, administrator }: RestoreContext): Draft {
  const { owner = "" } = entry;
  const draft: Draft = { entry, statements: [], settings: {}, findings: [] };
  if (!splitStatements(entry.sql).some(grantedRelation)) return draft;
  const role = quoteIdentifier(owner);
  const first = roles.has(owner) ? `GRANT ${role} TO ${quoteIdentifier(administrator)}` : `CREATE ROLE ${role}`;
  const finding = findingFor(entry, {
    code: roles.has(owner) ? "PGM-431" : "PGM-430",
    message: `its privileges were left out, because ${administrator} owns it: other roles would read or write through it with the privileges of ${administrator}`,
    remedy: `${first}, then ALTER ... OWNER TO ${role}, and grant as on the source`,
    state: "Warning",
  });
  return { ...draft, findings: [finding] };
}

/** Without effect if the relation has this owner. Otherwise the target refuses it again, and the privileges with it. */
function ownerChange(grant: Statement, owner: string): Statement | undefined {
  const relation = grantedRelation(grant);
  if (!relation) return undefined;
  const name = qualify(relation.schema, relation.name);
  return parseStatement(`ALTER TABLE ${name} OWNER TO ${quoteIdentifier(owner)}`);
}

function ownerCode({ type, name }: Entry, owner: string, exists: boolean): FindingCode {
  if (type === "SCHEMA OWNER" && name === "public" && owner === "azure_pg_admin") return "603708";
  return exists ? "PGM-431" : "PGM-430";
}

function withKnownGrantees(draft: Draft, context: RestoreContext): Draft {
  const statements: Statement[] = [];
  const findings: RestoreFinding[] = [];
  for (const statement of draft.statements) {
    const grantor = grantorOf(statement);
    const grantee = granteeOf(statement);
    const problem =
      (grantor === undefined ? undefined : grantorObstacle(grantor, statement, context)) ??
      (grantee === undefined ? undefined : granteeObstacle(grantee, context));
    if (problem === undefined) statements.push(asTransactionRole(statement));
    // A REVOKE from a missing role is omitted without a finding: that role has no privileges.
    else if (!isRevoke(statement)) {
      const remedy = "create the role on the target, then grant as on the source";
      findings.push(findingFor(draft.entry, { code: "603705", message: problem, remedy, state: "Warning" }));
    }
  }
  return { ...draft, statements, findings };
}

const isRevoke = ({ tokens }: Statement): boolean =>
  tokens.some((_, index) => follows(tokens, index, "REVOKE")) || follows(tokens, 0, "RESET");

/** The role that grants: pg_dump changes the session's authorization for grants of others than the owner. */
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

function grantorObstacle(role: string, statement: Statement, context: RestoreContext): string | undefined {
  const { roles, administrator } = context;
  if (roles.get(role)?.mayBecome) return undefined;
  const reason = roles.has(role)
    ? `${administrator} may not act as ${role}`
    : `role ${role} does not exist on the target`;
  return follows(statement.tokens, 0, "SET")
    ? `${reason}, so the object's owner grants the privileges that this role had granted`
    : `${reason}, so its default privileges were left out`;
}

const granteeObstacle = (role: string, { roles }: RestoreContext): string | undefined =>
  roles.has(role) ? undefined : `role ${role} does not exist on the target, so its privileges were left out`;

/** Only a superuser may change the session's authorization; members of a role use SET ROLE. */
function asTransactionRole(statement: Statement): Statement {
  const { tokens } = statement;
  if (follows(tokens, 0, "RESET", "SESSION", "AUTHORIZATION")) return parseStatement("SET LOCAL ROLE NONE");
  if (!follows(tokens, 0, "SET", "SESSION", "AUTHORIZATION")) return statement;
  return parseStatement(`SET LOCAL ROLE ${quoteIdentifier(identifierName(tokens[3]!))}`);
}

/**
 * Removes missing roles from a policy. If none exists the policy is skipped: without roles it would apply to PUBLIC.
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
    const message = `none of the policy's roles exists on the target (${missing}), so it was left out`;
    return withoutStatements(draft, { code: "PGM-432", message, remedy, state: "Failed" });
  }
  const kept = known.map((name) => (name === "public" ? "PUBLIC" : quoteIdentifier(name))).join(", ");
  const text = `${policy.text.slice(0, list.start)}${kept}${policy.text.slice(list.end)}`;
  const message = `roles of the policy that do not exist on the target were left out: ${missing}`;
  const finding = findingFor(draft.entry, { code: "PGM-432", message, remedy, state: "Warning" });
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

/** Skips a subscription, which would start to receive from its publisher while the source's still does. */
function withoutSubscription(draft: Draft): Draft {
  const create = draft.statements[0];
  return withoutStatements(draft, {
    code: "PGM-406",
    message: "subscriptions are not created, because they would start to receive changes from their publisher",
    remedy: `after the source's subscription is dropped: ${create ? withoutSecrets(create) : "CREATE SUBSCRIPTION"}`,
    state: "Failed",
  });
}

function withStorage(draft: Draft, { tableAccessMethods }: RestoreContext): Draft {
  const { tablespace, accessMethod, type } = draft.entry;
  let result = draft;
  if (
    tablespace !== undefined &&
    tablespace !== "pg_default" &&
    draft.statements.length > 0 &&
    !isProperty(draft.entry)
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
  findings: [...draft.findings, findingFor(draft.entry, { code: "PGM-414", message, state: "Warning" })],
});
