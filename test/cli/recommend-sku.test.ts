import assert from "node:assert/strict";
import { recommendSku, type SourceSize } from "../../provider/src/cli/sizing/recommend-sku";

const gib = 1024 ** 3;

const small: SourceSize = {
  ...{ databaseBytes: gib, sharedBuffersBytes: 0.125 * gib, maxConnections: 100 },
  ...{ readsPerSecond: undefined, vCores: undefined },
};

describe("the recommended size of a flexible server", () => {
  const cases: readonly [title: string, changes: Partial<SourceSize>, expected: string | undefined][] = [
    ["the smallest size for a small source", {}, "Standard_D2ds_v5 8 GiB, 32 GiB P4 120"],
    ["four times shared_buffers", { sharedBuffersBytes: 4 * gib }, "Standard_D4ds_v5 16 GiB, 32 GiB P4 120"],
    [
      "more memory than General Purpose has",
      { sharedBuffersBytes: 100 * gib },
      "Standard_E64ds_v5 512 GiB, 32 GiB P4 120",
    ],
    ["the source's vCores", { vCores: 6 }, "Standard_D8ds_v5 32 GiB, 32 GiB P4 120"],
    [
      "memory above 4 GiB per vCore",
      { vCores: 4, sharedBuffersBytes: 8 * gib },
      "Standard_E4ds_v5 32 GiB, 32 GiB P4 120",
    ],
    ["max_connections", { maxConnections: 1000 }, "Standard_D4ds_v5 16 GiB, 32 GiB P4 120"],
    ["1.25 times the databases", { databaseBytes: 103 * gib }, "Standard_D2ds_v5 8 GiB, 256 GiB P15 1100"],
    ["exactly a size of storage", { databaseBytes: 102.4 * gib }, "Standard_D2ds_v5 8 GiB, 128 GiB P10 500"],
    ["the average of reads", { readsPerSecond: 2000 }, "Standard_D2ds_v5 8 GiB, 32 GiB P20 2300"],
    ["the limit of the compute size", { readsPerSecond: 4000 }, "Standard_D2ds_v5 8 GiB, 32 GiB P30 3750"],
    ["no performance of larger disks", { readsPerSecond: 9000 }, "Standard_D2ds_v5 8 GiB, 32 GiB P50 3750"],
    [
      "the performance of larger disks above 4096 GiB",
      { databaseBytes: 5000 * gib, readsPerSecond: 17000, vCores: 16 },
      "Standard_D16ds_v5 64 GiB, 8192 GiB P70 18000",
    ],
    [
      "Aurora's share of shared_buffers",
      { sharedBuffersBytes: 12 * gib, sharedBuffersShare: 0.75 },
      "Standard_D4ds_v5 16 GiB, 32 GiB P4 120",
    ],
    ["Azure's limit of connections", { maxConnections: 6000 }, "Standard_D16ds_v5 64 GiB, 32 GiB P4 120"],
    ["databases beyond Premium SSD", { databaseBytes: 30000 * gib }, undefined],
    ["more vCores than any size", { vCores: 128 }, undefined],
  ];

  for (const [title, changes, expected] of cases)
    it(`follows ${title}`, () => {
      const advice = recommendSku({ ...small, ...changes });
      const text =
        advice && `${advice.sku} ${advice.memoryGib} GiB, ${advice.storageGib} GiB ${advice.iopsTier} ${advice.iops}`;
      assert.equal(text, expected);
    });

  it("states where Azure offers less than the source has", () => {
    const reasons = recommendSku({ ...small, maxConnections: 6000, readsPerSecond: 9000 })!.reasons.join("\n");
    assert.match(reasons, /^connections: 4985, the most that Azure offers; max_connections of the source is 6000/m);
    assert.match(reasons, /^IOPS: 7500 of P50, the highest tier of this storage, are less than 9000 reads per second/m);
  });

  it("states the share of shared_buffers in the source's memory", () => {
    const memory = (sharedBuffersShare?: number) => recommendSku({ ...small, sharedBuffersShare })!.reasons[0];
    assert.equal(
      memory(),
      "memory: at least 4 x shared_buffers of the source, which has 25 % of the memory by default",
    );
    assert.match(memory(0.75)!, /^memory: at least 1\.33 x .* 75 %/);
    assert.match(memory(0.8)!, /^memory: at least 1\.25 x .* 80 %/);
  });

  it("states its rules, and asks for vCores that it does not know", () => {
    assert.match(
      recommendSku(small)!.reasons.join("\n"),
      /memory: .*\nvCores: .*--vcores.*\nconnections: .*\nstorage: .*\nIOPS: /,
    );
  });
});
