import assert from "node:assert/strict";
import { connectionFailure } from "../../provider/src/postgres/connection/connection-failure";

describe("a connection failure", () => {
  it("gives a remedy whatever error code the server sends", () => {
    const error = Object.assign(new Error("no trust in this certificate"), { code: "constructor" });
    const endpoint = { host: "db.example.com", port: 5432, user: "reader", sslMode: "VerifyFull" } as const;
    const { message } = connectionFailure(error, endpoint, { database: "crm", purpose: "test" });
    assert.match(message, /sslRootCert/);
  });
});
