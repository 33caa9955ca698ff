import assert from "node:assert/strict";
import { inputsFromArmBody } from "../../provider/src/inputs/arm-body";
import { checkInputs, parseInputs } from "../../provider/src/inputs/check-inputs";
import { specOf } from "../../provider/src/inputs/inputs";
import { parseUtcTime } from "../../provider/src/units/utc-time";
import { unknownValue } from "../../provider/src/inputs/unknown-value";

const friendly = {
  migrationName: "m",
  source: { host: "old.example.com", user: "reader", password: "s-secret" },
  target: { host: "new.example.com", user: "admin", password: "t-secret" },
  dbsToMigrate: ["crm"],
};

const reasons = (raw: Record<string, unknown>): string[] =>
  checkInputs(raw).failures.map(({ property, reason }) => `${property}: ${reason}`);

describe("inputs with Azure's names", () => {
  const body = {
    Location: "westeurope",
    Tags: { team: "crm" },
    Properties: {
      MigrationMode: "Online",
      sourcedbserverresourceid: "old.example.com:5433@reader@old",
      TARGETDBSERVERFULLYQUALIFIEDDOMAINNAME: "new.postgres.database.azure.com",
      DbsToMigrate: ["crm", "shop"],
      OverwriteDbsInTarget: "True",
      startDataMigration: "false",
      sourceType: "AWS_RDS",
      sslMode: "VerifyFull",
      migrationWindowEndTimeInUtc: null,
      SecretParameters: {
        AdminCredentials: { SourceServerPassword: "s-secret", targetserverpassword: "t-secret" },
        sourceServerUserName: "reader@other",
      },
      targetServerUserName: "admin",
      migrationId: "exported along",
    },
  };

  it("keeps a key named __proto__ of an ARM body, so that it is refused like any unknown key", () => {
    const body = JSON.parse('{"properties": {"__proto__": {"migrationMode": "Online"}}}') as Record<string, unknown>;
    assert.deepEqual(Object.keys(inputsFromArmBody(body)), ["__proto__"]);
  });

  it("are accepted from an unchanged ARM body: keys in any case, strings as switches, a misplaced user name", () => {
    const inputs = parseInputs({ migrationName: "m", ...inputsFromArmBody(body) });
    assert.deepEqual(inputs.source, {
      host: "old.example.com",
      port: 5433,
      user: "reader@other",
      password: "s-secret",
      sslMode: "VerifyFull",
    });
    assert.deepEqual(inputs.target, {
      host: "new.postgres.database.azure.com",
      port: 5432,
      user: "admin",
      password: "t-secret",
      sslMode: "VerifyFull",
    });
    assert.deepEqual(
      [inputs.overwriteDbsInTarget, inputs.startDataMigration, inputs.sourceType, inputs.migrationMode, inputs.tags],
      [true, false, "AWS_RDS", "Online", { team: "crm" }],
    );
    assert.doesNotMatch(JSON.stringify(specOf(inputs)), /secret/);
  });

  it("name servers by address and port, by Azure's resource id, and by a name that overrides either", () => {
    const { source: _source, ...rest } = friendly;
    const secretParameters = { sourceServerUsername: "u", adminCredentials: { sourceServerPassword: "p" } };
    const sourceOf = (keys: Record<string, unknown>) => {
      const { host, port, user } = parseInputs({ ...rest, secretParameters, ...keys }).source;
      return [host, port, user];
    };
    const azure = "/subscriptions/x/resourceGroups/g/providers/Microsoft.DBforPostgreSQL/flexibleServers/crm-server";
    assert.deepEqual(sourceOf({ sourceDbServerResourceId: "[2001:db8::1]:5432@v" }), ["2001:db8::1", 5432, "u"]);
    assert.deepEqual(sourceOf({ sourceDbServerResourceId: azure }), [
      "crm-server.postgres.database.azure.com",
      5432,
      "u",
    ]);
    assert.deepEqual(
      sourceOf({ sourceDbServerResourceId: azure, sourceDbServerFullyQualifiedDomainName: "10.0.0.4" }),
      ["10.0.0.4", 5432, "u"],
    );
    assert.deepEqual(sourceOf({ sourceDbServerResourceId: "a:1@v", source: { host: "b", port: 2, user: "w" } }), [
      "b",
      2,
      "w",
    ]);
    assert.match(
      reasons({ ...rest, sourceDbServerResourceId: "no-port" }).join(),
      /^sourceDbServerResourceId: write host:port@user/,
    );
  });

  it("treat a runtime server as an external worker", () => {
    assert.equal(parseInputs(friendly).runner, "local");
    assert.equal(parseInputs({ ...friendly, migrationInstanceResourceId: "/x" }).runner, "external");
    assert.equal(parseInputs({ ...friendly, migrationRuntimeResourceId: "/x", runner: "local" }).runner, "local");
  });

  it("accept durations in Pulumi's format", () => {
    const timeouts = { create: "1h30m", update: "90s", delete: 5 };
    assert.deepEqual(parseInputs({ ...friendly, timeouts }).timeouts, { create: 5400, update: 90, delete: 5 });
  });

  it("take a time without an offset as UTC, whatever the machine's time zone is", () => {
    const machineZone = process.env.TZ;
    process.env.TZ = "America/New_York";
    try {
      const window = { migrationWindowStartTimeInUtc: "2030-01-31T22:00:00" };
      assert.equal(parseUtcTime(window.migrationWindowStartTimeInUtc), Date.UTC(2030, 0, 31, 22));
      assert.equal(parseUtcTime("2030-01-31T22:00:00-05:00"), Date.UTC(2030, 1, 1, 3));
      assert.equal(parseUtcTime("2030-01-31"), Date.UTC(2030, 0, 31));
      parseInputs({ ...friendly, ...window, migrationWindowEndTimeInUtc: "2030-01-31T22:30:00Z" });
    } finally {
      if (machineZone === undefined) delete process.env.TZ;
      else process.env.TZ = machineZone;
    }
  });

  const wrong: readonly [Record<string, unknown>, RegExp][] = [
    [
      { source: { ...friendly.source, password: undefined } },
      /^source\.password: is missing: give it here, as secretP/,
    ],
    [{ webhook: { url: "ftp://nowhere" } }, /^webhook\.url: give an address that starts with https/],
    [
      { webhook: { url: "https://hooks.example", secret: "short" } },
      /^webhook\.secret: the secret must have at least 16 characters/,
    ],
    [{ webhook: { url: "https://hooks.example", secrte: "x" } }, /^webhook\.secrte: .*did you mean secret\?/],
    [{ source: { ...friendly.source, auth: { kind: "entra" } } }, /^source\.auth: a password is also given/],
    [{ source: { host: "a", password: "p" } }, /^source\.user: is missing.*secretParameters\.sourceServerUsername/],
    [{ target: undefined }, /^target\.host: is missing.*\n?target\.user: is missing.*\n?target\.password: is missing/s],
    [
      { secretParameters: { adminCredential: {} } },
      /^secretParameters\.adminCredential: .*did you mean adminCredentials/,
    ],
    [
      { secretParameters: { adminCredentials: { sourcePassword: "x" } } },
      /^secretParameters\.adminCredentials\.source/,
    ],
    [{ sourceType: "AWSRDS" }, /^sourceType: expected one of .*"AWS_RDS"/],
    [{ cancel: "yes" }, /^cancel: give true or false/],
    [{ timeouts: { create: "soon" } }, /^timeouts\.create: give seconds, or a text/],
    [{ timeouts: { creat: 1 } }, /^timeouts\.creat: .*did you mean create\?/],
    [{ migrationWindowStartTimeInUtc: "1" }, /^migrationWindowStartTimeInUtc: give a time in UTC/],
    [{ migrationWindowStartTimeInUtc: "2030-02-30T22:00:00Z" }, /^migrationWindowStartTimeInUtc: give a time in UTC/],
    [{ migrationWindowStartTimeInUtc: "tomorrow" }, /^migrationWindowStartTimeInUtc: give a time in UTC/],
    [
      { migrationWindowStartTimeInUtc: "2030-01-02T00:00:00Z", migrationWindowEndTimeInUtc: "2030-01-01T00:00:00Z" },
      /^migrationWindowEndTimeInUtc: the window ends before/,
    ],
    [{ dbsToMigrate: undefined }, /^dbsToMigrate: give at least one database, or set waitForConfirmation/],
    [
      { migrationMode: "Online", triggerCutover: true, dbsToTriggerCutoverOn: ["x"] },
      /^dbsToTriggerCutoverOn: x is not in dbsToMigrate/,
    ],
    [{ dbsToCancelMigrationOn: ["crm"] }, /^dbsToCancelMigrationOn: has no effect without cancel/],
    [{ migrationMode: "Online", triggerCutover: true, cancel: true }, /^cancel: .*either canceled or cut over/],
    [{ runner: "remote" }, /^runner: expected one of "local", "external"/],
    [{ waitFor: "done" }, /^waitFor: expected one of/],
    [{ tags: { a: 1 } }, /^tags\.a: give a string$/],
    [{ dbsToMigrate: "crm" }, /^dbsToMigrate: give a list, such as/],
    [{ source: "postgres://old.example.com" }, /^source: give an object with keys of its own$/m],
    [{ source: { ...friendly.source, port: 99999 } }, /^source\.port: give a port from 1 to 65535$/],
    [{ tableJobs: "lots" }, /^tableJobs: give a number from 1 to 64$/],
    ...["0MB", "5x", "-5MB", -5, 50].map((maxCopyRate): [Record<string, unknown>, RegExp] => [
      { maxCopyRate },
      /^maxCopyRate: invalid rate: give bytes per second, at least 64kB, or a text such as "50MB"$/,
    ]),
    [{ maxReplicaLag: "soon" }, /^maxReplicaLag: give seconds, or a text/],
    [{ workers: 1.5 }, /^workers: give a number from 1 to 16$/],
    [{ reconnectFor: 0 }, /^reconnectFor: give seconds, or a text/],
  ];
  for (const [change, expected] of wrong)
    it(`refuse ${JSON.stringify(change, (_key, value: unknown) => value ?? "(missing)")}`, () => {
      assert.match(reasons({ ...friendly, ...change }).join("\n"), expected);
    });

  it("report all problems at once, also between properties, and ignore values that are unknown in a preview", () => {
    const all = reasons({
      ...friendly,
      migrationMode: "Later",
      target: friendly.source,
      tableJobs: 0,
      dbsToCancelMigrationOn: ["crm"],
    });
    assert.equal(all.length, 4, all.join("\n"));
    const preview = {
      ...friendly,
      source: { ...friendly.source, host: unknownValue, port: unknownValue },
      target: { ...friendly.target, host: unknownValue, port: unknownValue },
      dbsToMigrate: unknownValue,
      secretParameters: unknownValue,
    };
    assert.deepEqual(reasons(preview), []);
    assert.equal(checkInputs(preview).inputs, undefined);
  });
});

describe("inputs that name a server", () => {
  const withSource = (host: string) => ({ ...friendly, source: { ...friendly.source, host } });

  for (const host of ["postgresql://u:secretpw@h:5432/db", "db.example:5433", "u:secretpw@db.example", "db example"])
    it(`reject ${host} as host, and never repeat it`, () => {
      const [reason] = reasons(withSource(host));
      assert.match(reason!, /^source\.host: give only the host name/);
      assert.doesNotMatch(reason!, /secretpw/);
    });

  for (const host of ["db.example", "10.0.0.1", "::1", "2001:db8::5433"])
    it(`accept ${host} as host`, () => assert.deepEqual(reasons(withSource(host)), []));

  for (const [one, other] of [
    ["localhost", "127.0.0.1"],
    ["::1", "LOCALHOST"],
    ["127.0.0.1", "::1"],
    ["db.example", "DB.example"],
  ] as const)
    it(`reject ${one} and ${other} as source and target, which are one server`, () => {
      const [reason] = reasons({ ...withSource(one), target: { ...friendly.target, host: other } });
      assert.match(reason!, /^target: source and target are the same server/);
    });

  it("reject an offline migration that waits for a cutover", () => {
    assert.match(
      reasons({ ...friendly, waitFor: "cutoverReady" }).join(),
      /^waitFor: an offline migration has no cutover/,
    );
  });
});
