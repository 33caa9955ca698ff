import assert from "node:assert/strict";
import { inspect } from "node:util";
import { connect } from "../../provider/src/postgres/connection/connect";
import { connectionFailure } from "../../provider/src/postgres/connection/connection-failure";
import { isConnectionLoss } from "../../provider/src/postgres/connection/connection-loss";
import {
  announcedMessage,
  authenticationRequest,
  type ScriptedServer,
  serverMessage,
  startScriptedServer,
} from "../support/servers/scripted-server";

describe("a connection failure", () => {
  it("has a remedy for every error code of the server", () => {
    const error = Object.assign(new Error("no trust in this certificate"), { code: "constructor" });
    const endpoint = { host: "db.example.com", port: 5432, user: "reader", sslMode: "VerifyFull" } as const;
    const { message } = connectionFailure(error, endpoint, { database: "crm", purpose: "test" });
    assert.match(message, /sslRootCert/);
  });
});

describe("a server that breaks the protocol causes one error:", () => {
  let server: ScriptedServer;

  afterEach(() => server.stop());

  async function failureOf(...answers: readonly Buffer[]): Promise<Error> {
    server = await startScriptedServer(answers);
    const login = { host: "127.0.0.1", port: server.port, user: "reader", password: "secret" };
    const options = { database: "crm", purpose: "test", connectTimeoutMs: 5000, unwatched: true };
    const failure = await connect({ ...login, sslMode: "Disable" }, options).then(
      () => new assert.AssertionError({ message: "the connection was opened" }),
      (error: unknown) => error,
    );
    assert(failure instanceof Error);
    assert.doesNotMatch(failure.message, /secret/);
    return failure;
  }

  for (const [method, request] of [
    ["Kerberos", 2],
    ["GSSAPI", 7],
    ["SSPI", 9],
  ] as const)
    it(`an unsupported authentication method, ${method}`, async () => {
      const failure = await failureOf(authenticationRequest(request));
      assert.match(failure.message, new RegExp(`^PGM-101: reader@127.*authentication by ${method}.*pg_hba`, "s"));
      assert.equal(isConnectionLoss(failure), false);
    });

  it("an unsupported SASL mechanism", async () => {
    const failure = await failureOf(authenticationRequest(10, "OAUTHBEARER\0\0"));
    assert.match(failure.message, /asks for an authentication that this package does not support/);
  });

  it("an invalid step of SCRAM", async () => {
    const failure = await failureOf(
      authenticationRequest(10, "SCRAM-SHA-256\0\0"),
      authenticationRequest(11, "r=,s=,i="),
    );
    assert.match(failure.message, /part of the password authentication \(SCRAM\) is invalid/);
    assert.equal(isConnectionLoss(failure), false);
  });

  const loggedIn = Buffer.concat([authenticationRequest(0), serverMessage("Z", "I")]);
  const invalid: Readonly<Record<string, readonly Buffer[]>> = {
    "an HTTP server": [Buffer.from("HTTP/1.1 400 Bad Request\r\n\r\n")],
    "an authentication request of 2 GB": [announcedMessage("R", 2 ** 31)],
    "an authentication request without a method": [serverMessage("R")],
    "a message with an impossible length": [announcedMessage("N", 1)],
    "an error without an end": [serverMessage("E", "SFATAL\0Mgone")],
    "an error whose last field has no end": [serverMessage("E", "SFATAL\0M\0X")],
    "a row description shorter than its columns, after the login": [loggedIn, serverMessage("T", "\x7f\x7f")],
    "a row of more than 1 GB, after the login": [loggedIn, announcedMessage("D", 2 ** 30 + 1)],
    "a message of an unknown type, after the login": [loggedIn, serverMessage("@")],
  };
  for (const [title, answers] of Object.entries(invalid))
    it(title, async () => {
      const failure = await failureOf(...answers);
      assert.match(failure.message, /^603000: reader@127.*does not follow PostgreSQL's protocol.*check host and port/s);
      assert.equal(isConnectionLoss(failure), false);
    });

  for (const field of ["M", "D", "H"])
    it(`a password that the server got in cleartext and repeats in the field ${field}`, async () => {
      const texts = { M: "no", D: "no", H: "no", [field]: "no login with secret, reader" };
      const fields = Object.entries({ S: "FATAL", V: "FATAL", C: "28P01", ...texts }).map(
        ([key, text]) => `${key}${text}\0`,
      );
      const failure = await failureOf(authenticationRequest(3), serverMessage("E", `${fields.join("")}\0`));
      assert.match(failure.message, /the role or the password is wrong \(the server's message contains the password/);
      assert.doesNotMatch(inspect(failure, { depth: 9 }), /secret/);
    });

  it("a message of megabytes, which is shortened", async () => {
    const text = `SFATAL\0VFATAL\0C28P01\0M${"x".repeat(100_000)}\0\0`;
    const failure = await failureOf(serverMessage("E", text));
    assert.match(failure.message, /xxx… \(99,000 more characters\)/);
    assert(failure.message.length < 2000);
  });

  it("a server without room for another process, which is tried again", async () => {
    const failure = await failureOf(Buffer.from("Ecould not fork new process for connection: no memory\n\0"));
    assert.match(failure.message, /could not start a process for the session/);
    assert.equal(isConnectionLoss(failure), true);
  });
});
