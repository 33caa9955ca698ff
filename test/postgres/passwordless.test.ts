import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { RefusedError, UnreachableError } from "../../provider/src/errors";
import type { Authentication } from "../../provider/src/postgres/authentication/authentication";
import { RenewedToken } from "../../provider/src/postgres/authentication/renewed-token";
import { connect } from "../../provider/src/postgres/connection/connect";
import type { Endpoint } from "../../provider/src/postgres/connection/endpoint";
import { certificateFor, type ServerCertificate } from "../support/servers/certificates";
import { EmbeddedServer } from "../support/servers/embedded-server";
import { scramVerifier } from "../support/servers/scram-verifier";
import { authenticationRequest } from "../support/servers/scripted-server";
import { startTlsGate } from "../support/servers/tls-gate";
import { TokenIssuer, clientId, newToken } from "../support/token-issuer";

describe("a login with a token", () => {
  let server: EmbeddedServer;
  let tls: ServerCertificate;
  let issuer: TokenIssuer;

  before(async () => {
    tls = await certificateFor("localhost");
    server = await EmbeddedServer.start({
      major: 17,
      parameters: { ssl: "on", ssl_cert_file: "server.crt", ssl_key_file: "server.key" },
      files: { "server.crt": tls.certificate, "server.key": tls.privateKey },
    });
    await server.query("CREATE ROLE migrator LOGIN");
    issuer = await TokenIssuer.start();
  });

  beforeEach(async () => {
    issuer.reset();
    await accept(issuer.token);
  });

  after(() => Promise.all([server.stop(), issuer.stop()]));

  const accept = (token: string): Promise<unknown> =>
    server.query(`ALTER ROLE migrator PASSWORD '${scramVerifier(token)}'`);

  const endpoint = (auth: Authentication, change: Partial<Endpoint> = {}): Endpoint => ({
    ...{ host: "localhost", port: server.port, user: "migrator", sslMode: "Require" },
    ...{ auth, ...change },
  });

  async function logIn(auth: Authentication, change?: Partial<Endpoint>): Promise<void> {
    const client = await connect(endpoint(auth, change), { database: "postgres", purpose: "test" });
    await client.end();
  }

  /** Distinct scopes have distinct caches, as the credentials of different processes. */
  const scope = (): string => `https://${newToken().slice(-20).toLowerCase()}.example/.default`;

  const managed = (change: Partial<Extract<Authentication, { kind: "entra" }>> = {}): Authentication => ({
    ...{ kind: "entra", credential: "managedIdentity", clientId, scope: scope() },
    ...change,
  });

  it("of a managed identity succeeds, and ten logins request one token", async () => {
    issuer.setEnvironment("azure");
    const auth = managed();
    await Promise.all(Array.from({ length: 10 }, () => logIn(auth)));
    assert.equal(issuer.requests.length, 1);
    assert.match(issuer.requests[0]!, new RegExp(`client_id=${clientId}`));
  });

  it("of the default credentials succeeds with a managed identity", async () => {
    issuer.setEnvironment("azure");
    await logIn(managed({ credential: "default" }));
  });

  it("requests the scope of Azure Database for PostgreSQL", async () => {
    issuer.setEnvironment("azure");
    await logIn({ kind: "entra", credential: "managedIdentity", clientId });
    assert.match(decodeURIComponent(issuer.requests[0]!), /resource=https:\/\/ossrdbms-aad\.database\.windows\.net/);
  });

  it("of az succeeds with the output of az", async () => {
    const folder = await mkdtemp(join(tmpdir(), "pg-migration-test-"));
    issuer.setEnvironment("azure");
    const expires_on = Math.floor(Date.now() / 1000) + 3600;
    const answer = JSON.stringify({ accessToken: issuer.token, expires_on, tokenType: "Bearer" });
    await writeFile(join(folder, "az"), `#!/bin/sh\necho '${answer}'\n`, { mode: 0o755 });
    process.env.PATH = `${folder}${delimiter}${process.env.PATH}`;
    try {
      await logIn({ kind: "entra", credential: "azureCli", scope: scope() });
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it("uses a renewed token once the earlier one is about to expire", async () => {
    issuer.setEnvironment("azure");
    issuer.validSeconds = 60;
    const auth = managed();
    await logIn(auth);
    issuer.token = newToken();
    await accept(issuer.token);
    await logIn(auth);
    assert.equal(issuer.requests.length, 2);
  });

  it("keeps a valid token while its issuer is down, and is unreachable without one", async () => {
    issuer.setEnvironment("azure");
    issuer.validSeconds = 60;
    const auth = managed();
    await logIn(auth);
    await issuer.halt();
    await logIn(auth);
    await assert.rejects(logIn(managed()), (error) => {
      assert(error instanceof UnreachableError);
      assert.match(
        error.message,
        /^PGM-105: Microsoft Entra, credential managedIdentity, client id 0d8b.*Network unreachable/,
      );
      return true;
    });
    await issuer.resume();
  });

  it("is refused for an unknown client id, with the credential and the remedy", async () => {
    issuer.setEnvironment("azure");
    await assert.rejects(logIn(managed({ clientId: "wrong" })), (error) => {
      assert(error instanceof RefusedError);
      assert.match(error.message, /^PGM-105: Microsoft Entra, credential managedIdentity, client id wrong: no token/);
      assert.match(error.remedy!, /set auth\.clientId/);
      return true;
    });
  });

  it("names what the default credentials tried", async () => {
    issuer.setEnvironment("azure");
    process.env.PATH = "";
    const failed = logIn(managed({ credential: "default", clientId: "wrong" }));
    await assert.rejects(failed, /EnvironmentCredential.*ManagedIdentityCredential.*Identity not found.*Azure CLI/);
  });

  it("is refused without TLS, before a token is requested", async () => {
    issuer.setEnvironment("azure");
    for (const sslMode of ["Disable", "Prefer"] as const)
      await assert.rejects(logIn(managed(), { sslMode }), /PGM-105: .*sslMode .* a token could be sent without TLS/);
    assert.deepEqual(issuer.requests, []);
  });

  it("explains a token that the server refuses", async () => {
    issuer.setEnvironment("azure");
    await accept("another token");
    await assert.rejects(logIn(managed()), (error) => {
      assert(error instanceof RefusedError);
      assert.match(error.message, /^603100: migrator@localhost:\d+\/postgres: the server refuses the token/);
      assert.match(error.remedy!, /pgaadauth_list_principals/);
      assert(!error.message.includes(issuer.token));
      return true;
    });
  });

  it("of Cloud SQL IAM succeeds with the account of the machine", async () => {
    issuer.setEnvironment("google");
    await logIn({ kind: "cloudSqlIam" });
    assert(issuer.requests.some((line) => decodeURIComponent(line).includes("/auth/sqlservice.login")));
  });

  it("of RDS IAM sends a signature for this role, server and region", async () => {
    issuer.setEnvironment("aws");
    const recorder = await recordPassword();
    const gate = await startTlsGate(recorder.port, tls);
    try {
      const auth = { kind: "rdsIam", region: "eu-west-1" } as const;
      await assert.rejects(logIn(auth, { port: gate.port }), /refuses the token|role or the password/);
      const [path, query] = (await recorder.password).split("?");
      assert.equal(path, `localhost:${gate.port}/`);
      const signed = new URLSearchParams(query);
      assert.deepEqual([signed.get("Action"), signed.get("DBUser")], ["connect", "migrator"]);
      assert.match(signed.get("X-Amz-Credential")!, /^AKIDEXAMPLE\/\d{8}\/eu-west-1\/rds-db\/aws4_request$/);
    } finally {
      await gate.stop();
      recorder.stop();
    }
  });
});

describe("a renewed token", () => {
  it("is requested again after a failed request", async () => {
    let attempt = 0;
    const token = new RenewedToken(async () => {
      if (++attempt === 1) throw new Error("no answer");
      return { text: "token", expiresAt: Date.now() + 3_600_000 };
    });
    await assert.rejects(token.current(), /no answer/);
    assert.deepEqual([await token.current(), await token.current(), attempt], ["token", "token", 2]);
  });
});

describe("the packages for tokens", () => {
  it("are named by the error if they are not installed", async () => {
    const script = `
      const Module = require("node:module");
      Module.register("data:text/javascript," + encodeURIComponent(
        "export const resolve = (name, context, next) => name.startsWith('@azure/identity') ? Promise.reject(Object.assign(new Error('none'), { code: 'ERR_MODULE_NOT_FOUND' })) : next(name, context)"));
      const { passwordOf } = require("./provider/dist/postgres/authentication/password.js");
      passwordOf({ host: "h", port: 1, user: "u", sslMode: "Require", auth: { kind: "entra" } }).catch((e) => console.log(e.message));`;
    const { stdout } = await promisify(execFile)(process.execPath, ["--eval", script]);
    assert.match(
      stdout,
      /^PGM-105: auth needs the package @azure\/identity.*\n {2}To do: npm install @azure\/identity/,
    );
  });
});

/** A server that asks for the password in clear text, as Azure and RDS do for tokens, and refuses it. */
async function recordPassword(): Promise<{ port: number; password: Promise<string>; stop: () => void }> {
  let found: (password: string) => void;
  const password = new Promise<string>((resolve) => (found = resolve));
  const clearText = 3;
  const server = createServer((socket) => {
    socket.on("error", () => undefined).write(authenticationRequest(clearText));
    let received = Buffer.alloc(0);
    socket.on("data", (bytes) => {
      received = Buffer.concat([received, bytes]);
      const startUpBytes = received.readInt32BE(0);
      const message = received.subarray(startUpBytes);
      if (message.length < 5 || message.length < 1 + message.readInt32BE(1)) return;
      found(message.toString("utf8", 5, message.readInt32BE(1)));
      const fields = "SFATAL\0C28P01\0Mrefused\0\0";
      const length = Buffer.alloc(4);
      length.writeInt32BE(4 + fields.length);
      socket.end(Buffer.concat([Buffer.from("E"), length, Buffer.from(fields)]));
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return { port: (server.address() as AddressInfo).port, password, stop: () => server.close() };
}
