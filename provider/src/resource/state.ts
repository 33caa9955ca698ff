import { z } from "zod";
import { checkInputs } from "../inputs/check-inputs.js";
import { publicEndpoint, type Inputs } from "../inputs/inputs.js";
import { targetDatabase } from "../inputs/target-database.js";
import type { MigrationStatus, ServerMetadata, TargetConnection } from "../status.js";

/**
 * Inputs or outputs as Pulumi passes them to a dynamic provider: plain values. `olds` of check are old inputs, those of
 * diff and update old outputs. Inputs stay in the state under the program's own keys, so that a secret stays a secret.
 */
export type Properties = Record<string, unknown>;

/** What the state keeps in addition to the inputs. */
export interface Outputs {
  readonly currentStatus: MigrationStatus;
  readonly migrationId: string;
  readonly targetConnection: TargetConnection;
  readonly sourceDbServerMetadata?: ServerMetadata;
  readonly targetDbServerMetadata?: ServerMetadata;
  /** Proves that the migration's record belongs to this resource. */
  readonly ownershipToken: string;
  /** Why the last operation failed, with `onFailure: "report"`. */
  readonly failure?: string;
}

/** `__provider` is Pulumi's own. */
const notInputs: readonly string[] = [
  "__provider",
  "currentStatus",
  "migrationId",
  "targetConnection",
  "sourceDbServerMetadata",
  "targetDbServerMetadata",
  "ownershipToken",
  "failure",
];

/** The inputs among old outputs, or among what Pulumi passes. */
export const inputsAmong = (properties: Properties): Properties =>
  Object.fromEntries(Object.entries(properties).filter(([key]) => !notInputs.includes(key)));

/** The inputs as the engine uses them; undefined when a value is unknown, or has another version's form. */
export const inputsWithin = (properties: Properties): Inputs | undefined => checkInputs(inputsAmong(properties)).inputs;

const statusShape = z.looseObject({
  state: z.string(),
  worker: z.looseObject({}),
  currentSubStateDetails: z.looseObject({ dbDetails: z.record(z.string(), z.looseObject({})) }),
});

/** The last known status; undefined if the state has none, or one in another form. */
export const statusWithin = ({ currentStatus }: Properties): MigrationStatus | undefined =>
  statusShape.safeParse(currentStatus).success ? (currentStatus as MigrationStatus) : undefined;

export const tokenWithin = (outputs: Properties): string | undefined =>
  typeof outputs.ownershipToken === "string" ? outputs.ownershipToken : undefined;

export const failureWithin = (outputs: Properties): string | undefined =>
  typeof outputs.failure === "string" ? outputs.failure : undefined;

/**
 * Whether the creation failed without a known record, and `onFailure: "report"` kept the resource. A record may exist if the
 * connection was lost while it was written.
 */
export const wasNeverRecorded = (outputs: Properties): boolean =>
  failureWithin(outputs) !== undefined && tokenWithin(outputs) === undefined;

export const urnWithin = (properties: Properties): string | undefined =>
  typeof properties.resourceUrn === "string" && properties.resourceUrn !== "" ? properties.resourceUrn : undefined;

/** The resource's id in Pulumi's state. */
export const idOf = (inputs: Inputs): string => `${inputs.target.host}:${inputs.target.port}/${inputs.migrationName}`;

/** What the state keeps: the program's own inputs, the ownership token, and the reported outputs. */
export const outputsOf = (
  raw: Properties,
  inputs: Inputs,
  ownershipToken: string,
  status: MigrationStatus,
): Properties => ({ ...inputsAmong(raw), ownershipToken, ...reportedOutputs(inputs, status) });

export function reportedOutputs(inputs: Inputs, currentStatus: MigrationStatus): Properties {
  const { host, port, user, sslMode } = publicEndpoint(inputs.target);
  const databases = inputs.dbsToMigrate.map((database) => targetDatabase(inputs, database));
  const targetConnection: TargetConnection = { host, port, user, sslMode, databases };
  const { migrationId, sourceDbServerMetadata, targetDbServerMetadata } = currentStatus;
  return withoutUndefined({
    currentStatus,
    migrationId,
    targetConnection,
    sourceDbServerMetadata,
    targetDbServerMetadata,
  });
}

/** Pulumi rejects undefined in outputs. */
export const withoutUndefined = (properties: Readonly<Record<string, unknown>>): Properties =>
  Object.fromEntries(Object.entries(properties).filter(([, value]) => value !== undefined));
