import type { DefaultAzureCredentialClientIdOptions, TokenCredential } from "@azure/identity";
import type { EntraAuthentication } from "./authentication.js";
import { optionalPackage } from "./optional-package.js";
import type { Token } from "./renewed-token.js";

/** The scope of Azure Database for PostgreSQL in the public cloud. */
const publicScope = "https://ossrdbms-aad.database.windows.net/.default";

/** Requests tokens of Microsoft Entra. @throws what `@azure/identity` throws */
export function entraToken(auth: EntraAuthentication): () => Promise<Token> {
  let credential: Promise<TokenCredential> | undefined;
  return async () => {
    const token = await (await (credential ??= credentialOf(auth))).getToken(auth.scope ?? publicScope);
    if (!token) throw new Error("no token was issued");
    return { text: token.token, expiresAt: token.expiresOnTimestamp };
  };
}

async function credentialOf(auth: EntraAuthentication): Promise<TokenCredential> {
  const identity = await optionalPackage("@azure/identity", () => import("@azure/identity"));
  const { clientId, tenantId } = auth;
  const common = optionsOf(auth);
  const tenant = tenantId === undefined ? {} : { tenantId };
  const client = clientId === undefined ? {} : { clientId };
  switch (auth.credential ?? "default") {
    case "managedIdentity":
      return new identity.ManagedIdentityCredential({ ...common, ...client });
    case "workloadIdentity":
      return new identity.WorkloadIdentityCredential({ ...common, ...tenant, ...client });
    case "environment":
      return new identity.EnvironmentCredential(common);
    case "azureCli":
      return new identity.AzureCliCredential(tenant);
    case "default":
      return new identity.DefaultAzureCredential({
        ...common,
        ...tenant,
        ...(clientId === undefined ? {} : { managedIdentityClientId: clientId, workloadIdentityClientId: clientId }),
      });
  }
}

/** The worker itself retries for `reconnectFor`, so the library retries only briefly. */
const retryOptions = { maxRetries: 2, retryDelayInMs: 300 };

type CommonOptions = Pick<
  DefaultAzureCredentialClientIdOptions,
  "authorityHost" | "disableInstanceDiscovery" | "retryOptions"
>;

/** The public cloud does not know the authority of a private one. An authority of the environment is verified. */
const optionsOf = ({ authorityHost }: EntraAuthentication): CommonOptions => ({
  retryOptions,
  ...(authorityHost === undefined ? {} : { authorityHost, disableInstanceDiscovery: true }),
});
