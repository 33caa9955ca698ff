import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { resolveInputs, type InputFlags } from "../../provider/src/cli/options/migration-inputs";
import type { Inputs } from "../../provider/src/inputs/inputs";

const body = {
  migrationName: "of-body",
  source: { host: "old.example.com", user: "reader", password: "s-secret" },
  target: { host: "new.example.com", user: "admin", password: "t-secret" },
  dbsToMigrate: ["crm"],
};

describe("the inputs of pg-migration create", () => {
  const environment = process.env;
  let folder: string;

  before(() => {
    folder = mkdtempSync(join(tmpdir(), "migration-inputs-"));
  });

  beforeEach(() => {
    process.env = { HOME: folder };
  });

  afterEach(() => {
    process.env = environment;
  });

  after(() => rmSync(folder, { recursive: true }));

  const resolve = (flags: InputFlags, changes: object = {}): Promise<Inputs> => {
    const properties = join(folder, "body.json");
    writeFileSync(properties, JSON.stringify({ ...body, ...changes }));
    return resolveInputs({ ...flags, properties });
  };

  it("keep the body's target with --migration-name, which names no server", async () => {
    const { migrationName, target } = await resolve({ migrationName: "mig1" });
    assert.deepEqual([migrationName, target.host], ["mig1", "new.example.com"]);
    assert.equal((await resolve({})).migrationName, "of-body");
    const ofAz = await resolve({ migrationName: "mig1", name: "srv" });
    assert.deepEqual(
      [ofAz.migrationName, ofAz.target.host],
      ["mig1", "srv.postgres.database.azure.com"],
      "as in az before 2.86",
    );
  });

  it("use VerifyFull for a single server as source, named by a flag or by the body", async () => {
    const flags: InputFlags = { sourceType: "postgresqlsingleserver" };
    assert.equal((await resolve(flags)).source.sslMode, "VerifyFull");
    assert.equal((await resolve({}, { sourceType: "PostgreSQLSingleServer" })).source.sslMode, "VerifyFull");
    assert.equal((await resolve({ ...flags, sourceSslmode: "require" })).source.sslMode, "Require");
    process.env = { ...process.env, PGPASSWORD: "t-secret", PG_MIGRATION_SOURCE_PASSWORD: "s-secret" };
    const servers = { host: "new", user: "admin", sourceHost: "old", sourceUser: "reader", databases: ["crm"] };
    const withoutBody = await resolveInputs({ ...flags, ...servers, name: "mig1" });
    assert.equal(withoutBody.source.sslMode, "VerifyFull", "without --properties");
  });

  it("name a key of the body that is unknown, even if every object inherits it", async () => {
    await assert.rejects(resolve({}, { constructor: 1 }), /^InvalidInputError: constructor: /);
  });

  it("do not show a part of a body that is not JSON, which may be a password", async () => {
    const properties = join(folder, "invalid.json");
    writeFileSync(properties, '{"password": hunter2}');
    await assert.rejects(resolveInputs({ properties }), /^InvalidInputError: --properties \S+: invalid JSON$/);
    await assert.rejects(resolve({ parameters: properties }), /--parameters \S+: invalid JSON$/);
  });

  it("are refused if the environment or a service demands what the connection would not check", async () => {
    for (const [variable, value] of [
      ["PGSSLCRL", "revoked.pem"],
      ["PGREQUIREAUTH", "scram-sha-256"],
      ["PGCHANNELBINDING", "require"],
    ] as const) {
      process.env = { HOME: folder, [variable]: value };
      await assert.rejects(resolve({}), new RegExp(`^InvalidInputError: ${variable}: this package cannot enforce it`));
    }
    process.env = { HOME: folder, PGCHANNELBINDING: "prefer", PGSERVICEFILE: join(folder, "services") };
    writeFileSync(
      process.env.PGSERVICEFILE!,
      "[strict]\nhost=old.example.com\nsslcrl=revoked.pem\n[plain]\nhost=third.example.com\nchannel_binding=prefer",
    );
    for (const flags of [{ service: "strict" }, { sourceService: "strict" }])
      await assert.rejects(resolve(flags), /sslcrl of the service: this package cannot enforce it/);
    for (const flags of [{ service: "plain" }, { sourceService: "plain" }]) await resolve(flags);
  });

  const login = { host: "new.example.com", user: "admin" };

  it("take the TLS settings of the body's target, which flags override", async () => {
    const secured = { target: { ...body.target, sslMode: "VerifyFull", sslRootCert: "-----BEGIN" } };
    process.env = { ...process.env, PGSSLMODE: "prefer" };
    const { target } = await resolve({}, secured);
    assert.deepEqual([target.sslMode, target.sslRootCert], ["VerifyFull", "-----BEGIN"]);
    assert.equal((await resolve({ sslmode: "verify-ca" }, secured)).target.sslMode, "VerifyCA");
  });

  it("use the body's sslMode for the target, too, unless the environment has one", async () => {
    assert.equal((await resolve({}, { sslMode: "VerifyFull" })).target.sslMode, "VerifyFull");
    process.env = { ...process.env, PGSSLMODE: "require" };
    assert.equal((await resolve({}, { sslMode: "Prefer" })).target.sslMode, "Require");
  });

  it("take the body's commands that print passwords, unless the environment has a password", async () => {
    const commands = {
      source: { ...login, host: "old.example.com", auth: { kind: "command", command: "print source" } },
      target: { ...login, auth: { kind: "entra", credential: "azureCli" } },
    };
    const { source, target } = await resolve({}, commands);
    assert.deepEqual([source.auth, source.password], [{ kind: "command", command: "print source" }, undefined]);
    assert.deepEqual([target.auth, target.password], [{ kind: "entra", credential: "azureCli" }, undefined]);
    process.env = { ...process.env, PGPASSWORD: "other" };
    const given = await resolve({}, commands);
    assert.deepEqual([given.target.auth, given.target.password], [undefined, "other"]);
    const both = { target: { ...body.target, auth: { kind: "entra" } } };
    await assert.rejects(resolve({}, both), /^InvalidInputError: target\.auth: a password is also given/);
  });
});
