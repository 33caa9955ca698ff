import assert from "node:assert/strict";
import { makeVpnCertificates } from "../../../lab-stack/vpn/vpn-certificates";
import { at } from "../azure-stand-in/properties";
import { MockedLab } from "../mocks/mocked-lab";
import { MockedManager } from "../mocks/mocked-manager";

const old =
  "/subscriptions/00000000-0000-0000-0000-000000000002/resourceGroups/old/providers/Microsoft.DBforPostgreSQL/flexibleServers/psql-old";

const alert = (name: string, changes: object = {}) => ({
  name,
  properties: {
    severity: 2,
    enabled: true,
    scopes: [old],
    evaluationFrequency: "PT1M",
    windowSize: "PT5M",
    criteria: {
      allOf: [
        {
          name: "storage",
          metricName: "storage_percent",
          operator: "GreaterThan",
          threshold: 80,
          timeAggregation: "Average",
          criterionType: "StaticThresholdCriterion",
        },
      ],
    },
    actions: [{ actionGroupId: "/group/of/operators" }],
    ...changes,
  },
});

const learned = { allOf: [{ name: "cpu", criterionType: "DynamicThresholdCriterion" }] };

describe("lab-stack: settings copied from an existing server", () => {
  let manager: MockedManager;
  let lab: MockedLab;
  before(async () => {
    manager = await MockedManager.start({
      "/psql-old": { tags: { "cost-centre": "4711", stack: "old" } },
      "/firewallRules": {
        value: [{ name: "office", properties: { startIpAddress: "198.51.100.7", endIpAddress: "198.51.100.7" } }],
      },
      "/configurations": {
        value: [
          { name: "work_mem", properties: { value: "8192", source: "user-override" } },
          { name: "azure.extensions", properties: { value: "HSTORE", source: "user-override" } },
          { name: "jit", properties: { value: "on", source: "system-default" } },
        ],
      },
      "/metricAlerts": {
        value: [
          alert("storage"),
          alert("elsewhere", { scopes: ["/another"] }),
          alert("learned", { criteria: learned }),
        ],
      },
    });
    const { root } = await makeVpnCertificates([]);
    lab = await MockedLab.declare({
      topology: "public",
      existingServer: old,
      tags: { stack: "new" },
      resourceManager: manager.url,
      vpn: { rootCertificate: root.certificate },
    });
  });
  after(() => manager.close());

  it("include firewall rules, and tags that the configuration overrides", () => {
    assert.equal(lab.the("dbforpostgresql:FirewallRule").firewallRuleName, "office");
    const tags = lab.the("dbforpostgresql:Server").tags;
    assert.deepEqual(tags, { "managed-by": "pulumi", project: "lab", stack: "new", "cost-centre": "4711" });
  });

  it("include parameters that users set, and extensions in addition to the configuration's", () => {
    const parameters = lab.all("dbforpostgresql:Configuration").map((one) => [one.configurationName, one.value]);
    assert.deepEqual(Object.fromEntries(parameters), {
      work_mem: "8192",
      "azure.extensions": "HSTORE,TABLEFUNC,UUID-OSSP",
    });
  });

  it("include alerts with fixed thresholds, for the new server", () => {
    const declared = lab.the("monitor:MetricAlert");
    assert.equal(declared.ruleName, "ma-pglab-dev-storage");
    assert.deepEqual(declared.scopes, ["/ids/psql-pglab-dev"]);
    assert.equal(at(declared, "criteria.allOf.0.threshold"), 80);
    assert.equal(at(declared, "actions.0.actionGroupId"), "/group/of/operators");
  });
});
