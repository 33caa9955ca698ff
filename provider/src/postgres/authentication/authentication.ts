/** Where `entra` obtains its token. `default` tries environment, workload identity, managed identity and az in turn. */
export type EntraCredential = "default" | "managedIdentity" | "workloadIdentity" | "environment" | "azureCli";

/** A login on Azure Database for PostgreSQL with a token of Microsoft Entra. */
export interface EntraAuthentication {
  readonly kind: "entra";
  /** Default `default`. */
  readonly credential?: EntraCredential | undefined;
  /** Client id of the user-assigned managed identity, or of the application of the workload identity. */
  readonly clientId?: string | undefined;
  /** Tenant of the identity. Default: that of the environment, or of the login of az. */
  readonly tenantId?: string | undefined;
  /** Address of Microsoft Entra in a sovereign cloud. Default https://login.microsoftonline.com. */
  readonly authorityHost?: string | undefined;
  /** Default https://ossrdbms-aad.database.windows.net/.default, which sovereign clouds name differently. */
  readonly scope?: string | undefined;
}

/** A login on Amazon RDS or Aurora with a signature of AWS credentials, for a role that has `rds_iam`. */
export interface RdsIamAuthentication {
  readonly kind: "rdsIam";
  /** Default: the region in the host name, then that of the AWS configuration. */
  readonly region?: string | undefined;
  /** Section of the AWS configuration files. */
  readonly profile?: string | undefined;
}

/** A login on Cloud SQL with the application default credentials of Google Cloud. */
export interface CloudSqlIamAuthentication {
  readonly kind: "cloudSqlIam";
}

/** A login with the output of a command, such as the client of a secret store. */
export interface CommandAuthentication {
  readonly kind: "command";
  /** Runs before each connection, on the machine that connects, and prints only the password. */
  readonly command: string;
}

/** How a role logs in without a stored password. */
export type Authentication =
  EntraAuthentication | RdsIamAuthentication | CloudSqlIamAuthentication | CommandAuthentication;

/** Authentication with a token of a cloud platform. */
export type TokenAuthentication = Exclude<Authentication, CommandAuthentication>;

/**
 * Whether a token is the password. A token is valid for every server that trusts its issuer, so it is sent only over TLS.
 *
 * @example usesToken({ kind: "entra" }) === true
 */
export const usesToken = (auth: Authentication | undefined): auth is TokenAuthentication =>
  auth !== undefined && auth.kind !== "command";
