import assert from "node:assert/strict";
import { RefusedError } from "../../provider/src/errors";
import { withAccessCommands } from "../../provider/src/platforms/let-in";
import { platformOfType } from "../../provider/src/platforms/platforms";
import { connectionFailure } from "../../provider/src/postgres/connection/connection-failure";
import type { Endpoint } from "../../provider/src/postgres/connection/endpoint";

const endpoint: Endpoint = { host: "db", port: 5432, user: "reader", password: "", sslMode: "Prefer" };

function remedyFor(message: string, code?: string): string | undefined {
  const cause = Object.assign(new Error(message), { code, severity: "FATAL" });
  const failure = connectionFailure(cause, endpoint, { database: "shop", purpose: "test" });
  assert.equal(failure.code, "PGM-101");
  const advised = withAccessCommands(failure, endpoint, platformOfType("AWS_RDS", { version: "" }));
  assert(advised instanceof RefusedError);
  return advised.remedy;
}

describe("commands that let the worker in", () => {
  it("replace the remedy if pg_hba.conf has no line for the address", () => {
    const remedy = remedyFor('no pg_hba.conf entry for host "203.0.113.7", user "reader", no encryption', "28000");
    assert.match(remedy!, /^aws ec2 authorize-security-group-ingress .*--cidr 203\.0\.113\.7\/32$/);
  });

  it("do not replace the remedy for a required client certificate", () => {
    assert.match(remedyFor("connection requires a valid client certificate", "28000")!, /before the one with cert/);
  });

  it("do not replace the remedy for an unsupported SASL mechanism", () => {
    const message = "SASL: Only mechanism(s) SCRAM-SHA-256 and SCRAM-SHA-256-PLUS are supported";
    assert.match(remedyFor(message)!, /^put a line with scram-sha-256 into pg_hba\.conf/);
  });
});
