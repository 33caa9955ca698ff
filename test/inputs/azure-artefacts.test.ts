import assert from "node:assert/strict";
import { inputsFromArmBody } from "../../provider/src/inputs/arm-body";
import { parseInputs } from "../../provider/src/inputs/check-inputs";
import type { Inputs } from "../../provider/src/inputs/inputs";

type Json = Record<string, unknown>;

const subscription = "/subscriptions/11111111-1111-1111-1111-111111111111";
const serverId = `${subscription}/resourceGroups/my-group/providers/Microsoft.DBforPostgreSQL/flexibleServers/srv`;

const secretParameters = {
  adminCredentials: { sourceServerPassword: "s-secret", targetServerPassword: "t-secret" },
  sourceServerUsername: "reader",
  targetServerUsername: "azureadmin",
};

const common: Json = {
  dbsToMigrate: ["crm", "erp"],
  migrationMode: "Offline",
  migrationOption: "ValidateAndMigrate",
  overwriteDbsInTarget: "True",
  setupLogicalReplicationOnSourceDbIfNeeded: "True",
  sourceDbServerResourceId: "old.example.com:5433@reader",
  sourceType: "OnPremises",
  sslMode: "Require",
  startDataMigration: "True",
};

/** What Azure adds to the properties in its answers. */
const readOnly: Json = {
  currentStatus: { currentSubStateDetails: { currentSubState: "Completed" }, error: null, state: "Succeeded" },
  migrationId: "22222222-2222-2222-2222-222222222222",
  sourceDbServerMetadata: { location: "", sku: null, storageMb: 0, version: "14" },
  targetDbServerMetadata: {
    location: "westeurope",
    sku: { name: "Standard_D4ds_v5" },
    storageMb: 131072,
    version: "17",
  },
  targetDbServerResourceId: serverId,
  triggerCutover: "True",
};

const unset = {
  cancel: null,
  dbsToCancelMigrationOn: null,
  dbsToTriggerCutoverOn: null,
  migrateRoles: null,
  migrationInstanceResourceId: null,
  migrationWindowEndTimeInUtc: null,
  migrationWindowStartTimeInUtc: null,
  sourceDbServerFullyQualifiedDomainName: null,
  targetDbServerFullyQualifiedDomainName: null,
};

const proxy = {
  id: `${serverId}/migrations/mig1`,
  name: "mig1",
  location: "West Europe",
  type: "Microsoft.DBforPostgreSQL/flexibleServers/migrations",
  systemData: { createdAt: "2025-08-01T00:00:00Z" },
  tags: null,
};

const shown: Json = { ...common, ...readOnly, ...unset, ...proxy, resourceGroup: "my-group", secretParameters };
const answer: Json = { ...proxy, properties: { ...common, ...readOnly }, secretParameters };

const resource = (name: unknown): Json => ({
  type: "Microsoft.DBforPostgreSQL/flexibleServers/migrations",
  apiVersion: "2025-08-01",
  name,
  location: "[resourceGroup().location]",
  dependsOn: ["[resourceId('Microsoft.DBforPostgreSQL/flexibleServers', parameters('server'))]"],
  properties: {
    ...common,
    migrationMode: "[parameters('mode')]",
    dbsToMigrate: "[parameters('databases')]",
    secretParameters: {
      ...secretParameters,
      adminCredentials: {
        sourceServerPassword: "[parameters('sourcePassword')]",
        targetServerPassword: "[parameters('targetPassword')]",
      },
    },
  },
});

const declared = {
  server: { type: "string", defaultValue: "srv" },
  migrationName: { type: "string", defaultValue: "mig1" },
  mode: { type: "string", defaultValue: "offline" },
  databases: { type: "array" },
  sourcePassword: { type: "securestring" },
  targetPassword: { type: "securestring", defaultValue: "t-secret" },
};

const given = { databases: ["crm", "erp"], SOURCEPASSWORD: "s-secret" };
const parametersFile = {
  $schema: "https://schema.management.azure.com/schemas/2019-04-01/deploymentParameters.json#",
  contentVersion: "1.0.0.0",
  parameters: { databases: { value: ["crm", "erp"] }, sourcePassword: { value: "s-secret" } },
};

const template = (resources: unknown): Json => ({
  $schema: "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
  contentVersion: "1.0.0.0",
  parameters: declared,
  variables: { fullName: "[concat(parameters('server'), '/', parameters('migrationName'))]" },
  resources,
});

const server = { type: "Microsoft.DBforPostgreSQL/flexibleServers", name: "[parameters('server')]" };
const ofBicep = resource("[format('{0}/{1}', parameters('server'), parameters('migrationName'))]");

const read = (artefact: Json, parameters: Json = {}): Inputs => parseInputs(inputsFromArmBody(artefact, parameters));

describe("artefacts of Azure's migration service", () => {
  const artefacts: readonly (readonly [string, Json, Json?])[] = [
    ["the output of az migration show", shown],
    ["an answer of the REST API", answer],
    ["a file for create --properties, in any case", { ...upperCased(common), Name: "srv/mig1", secretParameters }],
    ["a resource of an ARM template, with parameters", resource("srv/mig1"), { ...given, mode: "OFFLINE", ...plain() }],
    ["an ARM template with a parameters file", template([server, resource("[variables('fullName')]")]), parametersFile],
    ["a template that Bicep compiled", template({ server, migration: ofBicep }), given],
  ];

  for (const [title, artefact, parameters] of artefacts)
    it(`are accepted unchanged: ${title}`, () => {
      const inputs = read(artefact, parameters);
      assert.deepEqual(
        [inputs.migrationName, inputs.migrationMode, inputs.dbsToMigrate, inputs.overwriteDbsInTarget],
        ["mig1", "Offline", ["crm", "erp"], true],
      );
      const tls = { sslMode: "Require" };
      const source = { host: "old.example.com", port: 5433, user: "reader", password: "s-secret" };
      assert.deepEqual(inputs.source, { ...source, ...tls });
      const host = "srv.postgres.database.azure.com";
      assert.deepEqual(inputs.target, { host, port: 5432, user: "azureadmin", password: "t-secret", ...tls });
      assert(!inputs.triggerCutover);
    });

  it("have enumeration values in any case, and keep the cutover of an online migration", () => {
    const values = {
      migrationMode: "ONLINE",
      migrationOption: "migrate",
      sourceType: "aws_rds",
      sslMode: "verifyca",
    };
    const inputs = read({ ...shown, ...values });
    assert.deepEqual(
      [inputs.migrationMode, inputs.migrationOption, inputs.sourceType, inputs.source.sslMode, inputs.triggerCutover],
      ["Online", "Migrate", "AWS_RDS", "VerifyCA", true],
    );
  });

  it("use VerifyFull for a single server as source unless they have an sslMode", () => {
    const body = { ...shown, sslMode: null, sourceType: "PostgreSQLSingleServer" };
    assert.deepEqual([read(body).source.sslMode, read(body).target.sslMode], ["VerifyFull", "Prefer"]);
    assert.equal(read({ ...body, sslMode: "Require" }).source.sslMode, "Require");
  });

  it("may contain a host in brackets, which is not an expression", () => {
    assert.equal(read({ ...shown, sourceDbServerResourceId: "[2001:db8::1]:5432@v" }).source.host, "2001:db8::1");
  });

  /** The source's password of a template in which it has this value. */
  const passwordIn = (value: unknown, parameters: Json = given): unknown => {
    const { properties, ...rest } = ofBicep;
    const adminCredentials = { sourceServerPassword: value, targetServerPassword: "t-secret" };
    const changed = { secretParameters: { ...secretParameters, adminCredentials } };
    const withPassword = { ...rest, properties: { ...(properties as Json), ...changed } };
    return read(template([withPassword]), parameters).source.password;
  };

  it("may contain texts like expressions, which are literal outside templates", () => {
    for (const password of ["[Secret(x]", "[concat('a')]", "[[x]"]) {
      const adminCredentials = { sourceServerPassword: password, targetServerPassword: "t-secret" };
      const body = { ...shown, secretParameters: { ...secretParameters, adminCredentials } };
      assert.equal(read(body).source.password, password);
      assert.equal(passwordIn("[parameters('sourcePassword')]", { ...given, SOURCEPASSWORD: password }), password);
    }
  });

  it("may escape a text in brackets, and braces in a format", () => {
    assert.equal(passwordIn("[[Secret(x)]"), "[Secret(x)]");
    assert.equal(passwordIn("[[x"), "[[x");
    assert.equal(passwordIn("[format('{{0}}{0}', 'x')]"), "{0}x");
  });

  it("are refused if a parameter refers to a key vault, even if it has a default", () => {
    const { parameters } = parametersFile;
    const file = { parameters: { ...parameters, targetPassword: { reference: { secretName: "pw" } } } };
    assert.throws(() => read(template([ofBicep]), file), {
      message:
        /^secretParameters\..*targetServerPassword: .*the parameter targetPassword is a reference to a key vault/,
    });
  });

  const unresolved: readonly (readonly [string, unknown, RegExp])[] = [
    ["a parameter without a value", "[parameters('nowhere')]", /^sslMode: .*the parameter nowhere has no value/],
    ["a variable that is missing", "[variables('v')]", /^sslMode: .*the variable v has no value/],
    ["another function", "[reference('x').mode]", /^sslMode: .*the function reference\(\) is not supported/],
    ["a property of a parameter", "[parameters('mode').name]", /^sslMode: .*what follows parameters\(\)/],
    ["an object within a text", "[concat(parameters('databases'), 'x')]", /^sslMode: .*concat\(\) needs texts/],
    ["a format of a number", "[format('{0:N2}', 1)]", /^sslMode: .*format\(\) needs placeholders such as \{0\}/],
    ["a placeholder without a text", "[format('{1}', 'x')]", /^sslMode: .*format\(\) needs placeholders/],
    ["an open quote", "[concat('a)]", /^sslMode: .*parentheses or quotes do not match/],
  ];
  for (const [title, expression, message] of unresolved)
    it(`are refused if an expression cannot be resolved: ${title}`, () => {
      const { properties, ...rest } = ofBicep;
      const changed = { ...rest, properties: { ...(properties as Json), sslMode: expression } };
      assert.throws(() => inputsFromArmBody(template([changed]), given), { message });
    });

  it("are refused without repeating a text that may be a password", () => {
    const { properties, ...rest } = ofBicep;
    const secrets = { adminCredentials: { sourceServerPassword: "[Start('s-secret')]" } };
    const changed = { ...rest, properties: { ...(properties as Json), secretParameters: secrets } };
    assert.throws(
      () => inputsFromArmBody(template([changed]), given),
      ({ message }: Error) =>
        message.startsWith("secretParameters.adminCredentials.sourceServerPassword: ") &&
        !/Start|s-secret/.test(message),
    );
  });

  it("are refused unless a template declares exactly one migration", () => {
    assert.throws(() => inputsFromArmBody(template([server])), {
      message: /declares 0 resources of type .*expected 1/,
    });
    assert.throws(() => inputsFromArmBody(template([ofBicep, ofBicep]), given), { message: /declares 2 resources/ });
  });
});

function upperCased(body: Json): Json {
  return Object.fromEntries(Object.entries(body).map(([key, value]) => [key.toUpperCase(), value]));
}

/** The parameters that a resource without its template needs in addition. */
function plain(): Json {
  return { targetPassword: "t-secret", server: "srv" };
}
