import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** The issuer knows only this identity. */
export const clientId = "0d8b6c2e-4b5f-4d2a-9f6e-2f1c3a5b7d90";

const header = randomBytes(12).toString("hex");

/** Variables of the clouds' libraries. A test sets some of them and no others. */
const variables = /^(AZURE|IDENTITY|IMDS|MSI|AWS|GOOGLE|GCE|METADATA)_/;

/** The library for Microsoft Entra keeps the first address in its process, so all issuers have the same port. */
let portOfProcess = 0;

/**
 * The token endpoints of a machine in Azure (App Service and container instances, or a virtual machine) and in Google Cloud.
 * Also the endpoint of temporary credentials of a container in AWS.
 */
export class TokenIssuer {
  /** The token that all endpoints issue. */
  token = newToken();
  /** How long tokens are valid. Libraries and worker request another one five minutes before the end. */
  validSeconds = 3600;
  /** Requests so far, as method, path and query. */
  readonly requests: string[] = [];
  readonly #server: Server;
  readonly #environment = { ...process.env };

  private constructor() {
    this.#server = createServer((request, response) => this.#answer(request, response));
  }

  static async start(): Promise<TokenIssuer> {
    const issuer = new TokenIssuer();
    await issuer.resume();
    return issuer;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** The beginning of another test: a token that was never issued, and the environment of this process. */
  reset(): void {
    this.token = newToken();
    this.validSeconds = 3600;
    this.requests.length = 0;
    process.env = { ...this.#environment };
  }

  async resume(): Promise<void> {
    this.#server.listen(portOfProcess, "127.0.0.1");
    await once(this.#server, "listening");
    portOfProcess = this.port;
  }

  /** No request is answered until {@link resume}. */
  async halt(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  /** Makes this process, and the workers that it starts, use this issuer. */
  setEnvironment(cloud: "azure" | "azureMachine" | "aws" | "google"): void {
    const base = `http://127.0.0.1:${this.port}`;
    const ofCloud = {
      azure: { IDENTITY_ENDPOINT: `${base}/msi/token`, IDENTITY_HEADER: header },
      azureMachine: { AZURE_POD_IDENTITY_AUTHORITY_HOST: base },
      aws: { AWS_CONTAINER_CREDENTIALS_FULL_URI: `${base}/aws`, AWS_EC2_METADATA_DISABLED: "true" },
      google: { GCE_METADATA_HOST: `127.0.0.1:${this.port}`, METADATA_SERVER_DETECTION: "assume-present" },
    }[cloud];
    const others = Object.entries(this.#environment).filter(([name]) => !variables.test(name));
    process.env = { ...Object.fromEntries(others), ...ofCloud };
  }

  async stop(): Promise<void> {
    process.env = this.#environment;
    if (this.#server.listening) await this.halt();
  }

  #answer({ method, url, headers }: IncomingMessage, response: ServerResponse): void {
    this.requests.push(`${method} ${url}`);
    const { pathname, searchParams } = new URL(url!, "http://issuer");
    const send = (status: number, body: unknown): void => {
      response.writeHead(status, { "content-type": "application/json", "metadata-flavor": "Google" });
      response.end(typeof body === "string" ? body : JSON.stringify(body));
    };
    const expires_on = Math.floor(Date.now() / 1000) + this.validSeconds;
    const token = { access_token: this.token, expires_in: this.validSeconds, token_type: "Bearer" };
    const isAzure = headers["x-identity-header"] === header || headers.metadata === "true";
    if (pathname === "/msi/token" || pathname === "/metadata/identity/oauth2/token") {
      if (isAzure && searchParams.get("client_id") === clientId)
        send(200, { ...token, expires_on, resource: searchParams.get("resource") });
      else send(400, { error: "invalid_request", error_description: "Identity not found" });
    } else if (pathname.startsWith("/computeMetadata/") && headers["metadata-flavor"] === "Google")
      send(200, pathname.endsWith("/token") ? token : "ok");
    else if (pathname === "/aws")
      send(200, {
        AccessKeyId: "AKIDEXAMPLE",
        SecretAccessKey: randomBytes(20).toString("hex"),
        Token: this.token,
        Expiration: new Date(expires_on * 1000).toISOString(),
      });
    else send(404, {});
  }
}

/** Like a JSON Web Token in form and length. */
export const newToken = (): string =>
  ["eyJ0eXAiOiJKV1Qi", randomBytes(300).toString("base64url"), randomBytes(64).toString("base64url")].join(".");
