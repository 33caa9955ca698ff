import assert from "node:assert/strict";
import { makeVpnCertificates } from "../../../lab-stack/vpn/vpn-certificates";
import { sourcePreparation } from "../../../lab-stack/source/source-preparation";
import { MockedLab, valueOf } from "../mocks/mocked-lab";
import { MockedManager } from "../mocks/mocked-manager";

describe("lab-stack: preparation of the source", () => {
  let manager: MockedManager;
  let rootCertificate: string;
  before(async () => {
    manager = await MockedManager.start();
    rootCertificate = (await makeVpnCertificates([])).root.certificate;
  });
  after(() => manager.close());

  /** The address ranges in the lines for pg_hba.conf. */
  async function clientsOf(changes: object, { network = "onPremises", ...migration }: Record<string, unknown> = {}) {
    const source = { host: "192.168.1.10", user: "postgres", network };
    const raw = {
      resourceManager: manager.url,
      vpn: { rootCertificate },
      migration: { source, databases: ["adventureworks"], ...migration },
      ...changes,
    };
    const { lab } = await MockedLab.declare(raw, { sourcePassword: "source-secret" });
    const { pgHba } = await valueOf(lab.source);
    return pgHba.map((line) => /^host all postgres (.*) scram-sha-256$/.exec(line)?.[1]);
  }

  const runner = { worker: "container", runner: { image: "example.azurecr.io/pg-migration:1" } };
  const onPremises = { addressPlan: { onPremises: ["192.168.1.0/24", "192.168.2.0/24"] } };
  const unknownMachine = ["<address of the machine that runs pulumi up>/32"];

  const cases: readonly (readonly [what: string, clients: string[], changes: object, migration?: object])[] = [
    ["a worker on premises without a known address", unknownMachine, {}],
    ["a lab without a migration", unknownMachine, { migration: undefined }],
    ["a worker on premises", ["192.168.1.0/24", "192.168.2.0/24"], onPremises],
    ["a worker on premises and a public source", unknownMachine, onPremises, { network: "public" }],
    ["a worker that reaches the source over VPN", ["172.16.201.0/24"], {}, { network: "virtualNetwork" }],
    ["a worker in the virtual network", ["10.0.3.0/24"], {}, { worker: "virtualNetwork" }],
    [
      "a worker in the virtual network and a public source",
      ["<public address of the worker's machine>/32"],
      {},
      { worker: "virtualNetwork", network: "public" },
    ],
    ["a worker in a container", ["10.0.3.0/24"], {}, runner],
    ["a worker in a container and a public source", ["203.0.113.10/32"], {}, { ...runner, network: "public" }],
    ["Microsoft's service", ["10.0.1.0/24"], {}, { engine: "azure" }],
    [
      "Microsoft's service and a public source",
      ["<public address of the flexible server>/32"],
      {},
      { engine: "azure", network: "public" },
    ],
    [
      "Microsoft's service and a private endpoint",
      ["<subnet of the runtime server>"],
      { topology: "privateEndpoint" },
      { engine: "azure", runtimeServer: "/runtime" },
    ],
  ];
  for (const [what, clients, changes, migration] of cases)
    it(`allows ${what} in pg_hba.conf`, async () => {
      assert.deepEqual(await clientsOf(changes, { ...migration }), clients);
    });

  it("quotes the role's name", () => {
    assert.deepEqual(sourcePreparation("Re Pl", ["10.0.1.0/24"]).pgHba, [`host all "Re Pl" 10.0.1.0/24 scram-sha-256`]);
  });
});
