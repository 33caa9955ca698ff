import type { Client } from "pg";
import type { MigrationSpec } from "../inputs/inputs.js";
import { connect } from "../postgres/connection/connect.js";
import type { Endpoint } from "../postgres/connection/endpoint.js";
import { serverVersion } from "../postgres/server-version.js";
import type { KeptDumps } from "../schema/dump/kept-dumps.js";
import { UnreachableError } from "../errors.js";
import type { Finding } from "../findings.js";
import { detectPlatform } from "../platforms/detect-platform.js";
import { platformOfHost } from "../platforms/platforms.js";
import { withAccessCommands } from "../platforms/let-in.js";
import { sourcePrivileges, targetDatabases } from "./servers/access.js";
import { expressionReevaluation } from "./objects/expression-reevaluation.js";
import { azureTarget } from "./servers/azure-target.js";
import { collations } from "./extensions/collations.js";
import { recomputedColumns } from "./objects/recomputed-columns.js";
import { connectionFinding, mergeServerFindings } from "./connection-finding.js";
import type { Rule, ValidationContext } from "./context.js";
import { extensionMembers } from "./extensions/extension-members.js";
import { extensions } from "./extensions/extensions.js";
import { fence } from "./replication/fence.js";
import { filters } from "./objects/filters.js";
import { logicalReplication } from "./replication/logical-replication.js";
import { rehearsal } from "./objects/rehearsal.js";
import { regTypeReferences } from "./objects/reg-type-references.js";
import { objects } from "./objects/objects.js";
import { owners } from "./objects/owners.js";
import { detectPooler, isSuspected, poolerFindings, type Reached } from "./servers/pooler.js";
import { serviceSchemas } from "./servers/service-schemas.js";
import { sourceWriters } from "./servers/source-writers.js";
import { settings } from "./objects/settings.js";
import { systemObjects } from "./objects/system-objects.js";
import { versions } from "./servers/versions.js";
import { scheduledJobs } from "./extensions/scheduled-jobs.js";
import { distributedTables } from "./extensions/distributed-tables.js";
import { forkPackages } from "./objects/fork-packages.js";
import { forkTypes } from "./objects/fork-types.js";
import { userMappings } from "./objects/user-mappings.js";
import { targetPrivileges } from "./servers/target-privileges.js";
import { entraRoles } from "./servers/entra-roles.js";
import { preloadLibraries } from "./extensions/preload-libraries.js";
import { systemSchemaExtensions } from "./extensions/system-schema-extensions.js";
import { walRetention } from "./replication/wal-retention.js";
import { rollbackReplication } from "./replication/rollback.js";
import { readOnlyDefault } from "../target-checks/read-only-default.js";

const rules: readonly Rule[] = [
  versions,
  targetDatabases,
  ({ target }) => readOnlyDefault(target),
  azureTarget,
  targetPrivileges,
  entraRoles,
  serviceSchemas,
  sourcePrivileges,
  logicalReplication,
  walRetention,
  fence,
  rollbackReplication,
  extensions,
  preloadLibraries,
  systemSchemaExtensions,
  extensionMembers,
  scheduledJobs,
  distributedTables,
  collations,
  objects,
  forkTypes,
  forkPackages,
  userMappings,
  systemObjects,
  regTypeReferences,
  recomputedColumns,
  expressionReevaluation,
  owners,
  settings,
  filters,
];

export interface ValidationOptions {
  readonly spec: MigrationSpec;
  readonly source: Endpoint;
  readonly target: Endpoint;
  readonly ownDatabases: ReadonlySet<string>;
  readonly occupied: ReadonlyMap<string, string>;
  /** As in {@link ValidationContext}. */
  readonly keptDumps?: KeptDumps | undefined;
  /** Both servers have answered before, so that one that does not answer is an error instead of a finding. */
  readonly haveServersAnswered?: boolean;
}

/**
 * Validates both servers. Nothing changes except for a temporary database on the target, which is dropped. All rules
 * run, so that all problems are reported at once. A failed connection is a finding as well.
 *
 * @throws UnreachableError for a server that is starting up or shutting down, or that answered before; and the errors of a
 * connection that is lost meanwhile
 */
export async function validate(options: ValidationOptions): Promise<Finding[]> {
  const findings: Finding[] = [];
  const sources = new Map<string, Client>();
  let target: Client | undefined;
  try {
    const refused = { source: [], target: [] } satisfies Record<string, Finding[]>;
    const opening = [
      openSources(options, sources, refused.source),
      openTarget(options, refused.target).then((client) => (target = client)),
    ];
    // The sessions that were opened are closed below.
    await Promise.allSettled(opening);
    await Promise.all(opening);
    findings.push(...mergeServerFindings(refused.source, options.source.host), ...refused.target);
    const [anySource] = sources.values();
    if (!anySource || !target) return findings;
    const { dbsToMigrate, maintenanceDatabase, sourceType } = options.spec;
    const database = dbsToMigrate.find((name) => sources.has(name))!;
    const servers = [
      { side: "source", endpoint: options.source, database, session: anySource, sourceType },
      { side: "target", endpoint: options.target, database: maintenanceDatabase, session: target },
    ] as const;
    const looking = lookForPoolers(servers);
    const validating = validateSessions(options, { sources, anySource, target }, servers, looking);
    // The sessions are in use until both have ended.
    await Promise.allSettled([looking, validating]);
    const poolers = await looking;
    findings.push(...poolers.findings);
    // Results through such a pooler would be unreliable.
    if (poolers.isAnyInTransactionMode) return findings;
    findings.push(...(await validating));
    return [...connected(findings), ...findings];
  } finally {
    await Promise.all([...sources.values(), ...(target ? [target] : [])].map((client) => client.end()));
  }
}

interface Poolers {
  readonly findings: readonly Finding[];
  readonly isAnyInTransactionMode: boolean;
}

async function lookForPoolers(servers: readonly Reached[]): Promise<Poolers> {
  const detecting = servers.map(detectPooler);
  await Promise.allSettled(detecting);
  const findings: Finding[] = [];
  for (const [i, between] of (await Promise.all(detecting)).entries()) {
    findings.push(...(await poolerFindings(servers[i]!, between)));
    if (between === "transactionPooler") return { findings, isAnyInTransactionMode: true };
  }
  return { findings, isAnyInTransactionMode: false };
}

interface Sessions {
  readonly sources: ReadonlyMap<string, Client>;
  readonly anySource: Client;
  readonly target: Client;
}

/** If no pooler is suspected, the rehearsal does not wait for the end of the look for poolers. */
async function validateSessions(
  options: ValidationOptions,
  { sources, anySource, target }: Sessions,
  servers: readonly Reached[],
  looking: Promise<Poolers>,
): Promise<Finding[]> {
  const isUnreliable = async (): Promise<boolean> => (await looking).isAnyInTransactionMode;
  if (servers.some(({ session }) => isSuspected(session)) && (await isUnreliable())) return [];
  const context: ValidationContext = {
    ...options,
    ...{ sources, target },
    targetEndpoint: options.target,
    sourceVersion: await serverVersion(anySource),
    targetVersion: await serverVersion(target),
    ...(await describeRoles(anySource, target, options.spec.sourceType)),
  };
  const rules = async (): Promise<Finding[]> => ((await isUnreliable()) ? [] : applyRules(context));
  const others = [rules(), rehearsal(context)];
  const othersEnded = new AbortController();
  const steps = [...others, sourceWriters(context, othersEnded.signal)];
  // Waits for all, also if one fails: a second validation must not run beside the rehearsal of the first.
  const ended = Promise.allSettled(steps);
  await Promise.allSettled(others);
  othersEnded.abort();
  await ended;
  return (await Promise.all(steps)).flat();
}

async function applyRules(context: ValidationContext): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const rule of rules) findings.push(...(await rule(context)));
  return findings;
}

async function openSources(
  { spec: { dbsToMigrate, sourceType }, source: endpoint, haveServersAnswered }: ValidationOptions,
  sources: Map<string, Client>,
  findings: Finding[],
): Promise<void> {
  for (const database of dbsToMigrate) {
    const reached = { side: "source", endpoint, database, sourceType } as const;
    const client = await open(reached, findings, haveServersAnswered);
    if (client) sources.set(database, client);
  }
}

const openTarget = (options: ValidationOptions, findings: Finding[]): Promise<Client | undefined> =>
  open(
    { side: "target", endpoint: options.target, database: options.spec.maintenanceDatabase },
    findings,
    options.haveServersAnswered,
  );

async function open(
  reached: Omit<Reached, "session">,
  findings: Finding[],
  haveServersAnswered = false,
): Promise<Client | undefined> {
  const { side, endpoint, database } = reached;
  try {
    return await connect(endpoint, { database, purpose: `validate ${side}` });
  } catch (error) {
    if (haveServersAnswered && error instanceof UnreachableError) throw error;
    const found = connectionFinding(
      withAccessCommands(error, endpoint, platformOfHost(endpoint, reached.sourceType)),
      side,
      {
        ...(side === "source" ? { database } : {}),
        type: "AuthenticationAndConnectivityValidation",
        object: side === "source" ? database : endpoint.host,
        objectType: side === "source" ? "Database" : "Instance",
      },
    );
    // Azure's code is only about a database of the source.
    const finding = side === "source" && found.code === "PGM-103" ? { ...found, code: "603102" as const } : found;
    if (!findings.some(({ message }) => message === finding.message)) findings.push(finding);
    return undefined;
  }
}

async function describeRoles(
  source: Client,
  target: Client,
  sourceType: MigrationSpec["sourceType"],
): Promise<Pick<ValidationContext, "sourcePlatform" | "sourceSuperuser" | "targetSuperuser">> {
  const [sourcePlatform, sourceSuperuser, targetSuperuser] = await Promise.all([
    detectPlatform(source, sourceType),
    isSuperuser(source),
    isSuperuser(target),
  ]);
  return { sourcePlatform, sourceSuperuser, targetSuperuser };
}

async function isSuperuser(client: Client): Promise<boolean> {
  const { rows } = await client.query<{ is: string }>("SELECT current_setting('is_superuser') AS is");
  return rows[0]!.is === "on";
}

function connected(findings: readonly Finding[]): Finding[] {
  const type = "AuthenticationAndConnectivityValidation";
  if (findings.some((finding) => finding.type === type)) return [];
  return [{ type, state: "Succeeded", objectType: "Instance", message: "both servers accept connections" }];
}
