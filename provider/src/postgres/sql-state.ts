import { RefusedError } from "../errors.js";

/** Error codes by their condition names (manual, "PostgreSQL Error Codes"). */
export const sqlStates = {
  featureNotSupported: "0A000",
  protocolViolation: "08P01",
  characterNotInRepertoire: "22021",
  invalidTextRepresentation: "22P02",
  notNullViolation: "23502",
  uniqueViolation: "23505",
  checkViolation: "23514",
  readOnlySqlTransaction: "25006",
  invalidAuthorizationSpecification: "28000",
  invalidPassword: "28P01",
  dependentObjectsStillExist: "2BP01",
  invalidCatalogName: "3D000",
  deadlockDetected: "40P01",
  insufficientPrivilege: "42501",
  syntaxError: "42601",
  undefinedObject: "42704",
  duplicateObject: "42710",
  undefinedFunction: "42883",
  undefinedTable: "42P01",
  invalidSchemaName: "3F000",
  duplicateDatabase: "42P04",
  outOfMemory: "53200",
  tooManyConnections: "53300",
  configurationLimitExceeded: "53400",
  objectNotInPrerequisiteState: "55000",
  objectInUse: "55006",
  queryCanceled: "57014",
  cannotConnectNow: "57P03",
  undefinedFile: "58P01",
  internalError: "XX000",
} as const;

/** Whether a statement failed because a table, or its schema, was dropped or renamed. */
export const isMissingRelation = (error: unknown): boolean =>
  sqlStateOf(error) === sqlStates.undefinedTable || sqlStateOf(error) === sqlStates.invalidSchemaName;

/** As {@link sqlStateOf}, also for a refusal whose cause is such an error. */
export const causingSqlState = (error: unknown): string =>
  error instanceof RefusedError ? causingSqlState(error.cause) : sqlStateOf(error);

/** The SQLSTATE of a server's error, or the system's code of a socket error, such as ECONNRESET; otherwise empty. */
export function sqlStateOf(error: unknown): string {
  const { code } = (error ?? {}) as { readonly code?: unknown };
  return typeof code === "string" ? code : "";
}
