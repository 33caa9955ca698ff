import type { GoogleAuth } from "google-auth-library";
import { optionalPackage } from "./optional-package.js";
import type { Token } from "./renewed-token.js";

/** Permits nothing but logins on Cloud SQL. */
const scope = "https://www.googleapis.com/auth/sqlservice.login";

/** Requests tokens with the application default credentials. @throws what `google-auth-library` throws */
export function cloudSqlToken(): () => Promise<Token> {
  let auth: GoogleAuth | undefined;
  return async () => {
    const google = await optionalPackage("google-auth-library", () => import("google-auth-library"));
    const client = await (auth ??= new google.GoogleAuth({ scopes: [scope] })).getClient();
    const { token } = await client.getAccessToken();
    if (!token) throw new Error("no token was issued");
    // A client that does not say when the token expires caches it itself.
    return { text: token, expiresAt: client.credentials.expiry_date ?? Date.now() };
  };
}
