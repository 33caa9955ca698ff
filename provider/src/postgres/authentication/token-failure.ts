import { RefusedError, UnreachableError, messageOf } from "../../errors.js";
import type { EntraCredential, TokenAuthentication } from "./authentication.js";

/** One error for all failed token requests: the credential, what was tried, and what to do. Never contains a token. */
export function tokenFailure(auth: TokenAuthentication, cause: unknown): Error {
  if (cause instanceof RefusedError) return cause;
  const what = `${nameOf(auth)}: no token was issued (${withoutTokens(messageOf(cause))})`;
  // The library's error is not attached: it may contain requests and answers.
  const details = { remedy: remedyOf(auth), code: "PGM-105" } as const;
  return hasNoAnswer(cause) ? new UnreachableError(what, details) : new RefusedError(what, details);
}

function nameOf(auth: TokenAuthentication): string {
  if (auth.kind === "rdsIam") return `RDS IAM${auth.profile === undefined ? "" : ` with profile ${auth.profile}`}`;
  if (auth.kind === "cloudSqlIam") return "Cloud SQL IAM";
  const client = auth.clientId === undefined ? "" : `, client id ${auth.clientId}`;
  return `Microsoft Entra, credential ${auth.credential ?? "default"}${client}`;
}

const remediesOfEntra: Readonly<Record<EntraCredential, string>> = {
  default:
    "name the credential that this machine has in auth.credential: managedIdentity, workloadIdentity, environment or azureCli",
  managedIdentity:
    "assign the managed identity to the machine or container of the worker, and set auth.clientId to its client id if it is user-assigned",
  workloadIdentity:
    "set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_FEDERATED_TOKEN_FILE for the worker, as AKS does, and check the federated credential of the identity",
  environment:
    "set AZURE_TENANT_ID, AZURE_CLIENT_ID and either AZURE_CLIENT_SECRET or AZURE_CLIENT_CERTIFICATE_PATH for the worker",
  azureCli: "run az login as the worker's operating-system user",
};

function remedyOf(auth: TokenAuthentication): string {
  if (auth.kind === "rdsIam")
    return "give the worker AWS credentials (a role of the machine, AWS_PROFILE, or AWS_ACCESS_KEY_ID), and the region as auth.region: aws sts get-caller-identity must succeed";
  if (auth.kind === "cloudSqlIam")
    return "give the worker application default credentials: a service account of the machine, or GOOGLE_APPLICATION_CREDENTIALS";
  return remediesOfEntra[auth.credential ?? "default"];
}

const longestMessage = 1500;

/** On one line. Texts as long as a token are left out. */
const withoutTokens = (message: string): string =>
  message
    .replace(/[\w.~+=-]{80,}/g, "[...]")
    .replace(/\s*\n\s*/g, "; ")
    .slice(0, longestMessage);

const networkCodes =
  /^(ECONN|ETIMEDOUT|EAI_AGAIN|ENOTFOUND|EHOSTUNREACH|ENETUNREACH|EPIPE|REQUEST_SEND_ERROR|network_error)/;

/** Whether another attempt may succeed: the issuer did not answer, or reported a failure of its own. */
function hasNoAnswer(error: unknown, depth = 0): boolean {
  if (typeof error !== "object" || error === null || depth > 5) return false;
  const { cause, errors, ...own } = error as Record<"code" | "errorCode" | "status" | "statusCode", unknown> & {
    readonly cause?: unknown;
    readonly errors?: unknown;
  };
  if ([own.code, own.errorCode].some((code) => typeof code === "string" && networkCodes.test(code))) return true;
  if ([own.status, own.statusCode].some((status) => Number(status) >= 500 || Number(status) === 429)) return true;
  return [cause, ...(Array.isArray(errors) ? (errors as unknown[]) : [])].some((one) => hasNoAnswer(one, depth + 1));
}
