import assert from "node:assert/strict";
import { makeVpnCertificates } from "../../../lab-stack/vpn/vpn-certificates";
import { MockedLab, valueOf } from "../mocks/mocked-lab";
import { MockedManager, records, Successive } from "../mocks/mocked-manager";

describe("lab-stack: the server's private address", () => {
  let rootCertificate: string;
  before(async () => {
    rootCertificate = (await makeVpnCertificates([])).root.certificate;
  });

  async function addressBy(answers: Readonly<Record<string, unknown>>): Promise<string> {
    const manager = await MockedManager.start(answers);
    try {
      const { lab } = await MockedLab.declare({ resourceManager: manager.url, vpn: { rootCertificate } });
      return await valueOf(lab.privateAddress!);
    } finally {
      await manager.close();
    }
  }

  it("is read again while the zone has no record", async () => {
    assert.equal(await addressBy({ "/A": new Successive([{ value: [] }, records]) }), "10.0.1.4");
  });

  it("is found on the second page of the records", async () => {
    const [record] = records.value;
    const second = await MockedManager.start({ "/A": { value: [record] } });
    try {
      const nextLink = `${second.url}/zone/A?api-version=1`;
      assert.equal(await addressBy({ "/A": { value: [{ name: "empty", properties: {} }], nextLink } }), "10.0.1.4");
    } finally {
      await second.close();
    }
  });
});
