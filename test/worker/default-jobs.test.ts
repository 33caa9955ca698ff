import assert from "node:assert/strict";
import { parallelismFor } from "../../provider/src/worker/context/default-parallelism";

const mebibyte = 1024 ** 2;
const usual = { freeConnections: 90, sharedBuffersBytes: 128 * mebibyte, maintenanceWorkMemBytes: 64 * mebibyte };

describe("how many jobs two servers are given where nobody says", () => {
  const cases = [
    { what: "as PostgreSQL is installed", source: {}, target: {}, jobs: [4, 4] },
    {
      what: "large ones",
      source: { sharedBuffersBytes: 16384 * mebibyte },
      target: { sharedBuffersBytes: 6144 * mebibyte },
      jobs: [6, 6],
    },
    {
      what: "very large ones",
      source: { sharedBuffersBytes: 65536 * mebibyte },
      target: { sharedBuffersBytes: 65536 * mebibyte },
      jobs: [8, 8],
    },
    {
      what: "a large one beside a usual one",
      source: {},
      target: { sharedBuffersBytes: 65536 * mebibyte },
      jobs: [4, 4],
    },
    { what: "few free connections on one", source: { freeConnections: 11 }, target: {}, jobs: [2, 2] },
    { what: "hardly any free connections", source: {}, target: { freeConnections: 1 }, jobs: [1, 1] },
    {
      what: "much maintenance_work_mem",
      source: {},
      target: { maintenanceWorkMemBytes: 1024 * mebibyte },
      jobs: [4, 2],
    },
    {
      what: "much on the source, which builds nothing",
      source: { maintenanceWorkMemBytes: 1024 * mebibyte },
      target: {},
      jobs: [4, 4],
    },
  ];
  for (const { what, source, target, jobs } of cases)
    it(what, () => {
      const { tableJobs, indexJobs } = parallelismFor({ ...usual, ...source }, { ...usual, ...target });
      assert.deepEqual([tableJobs, indexJobs], jobs);
    });
});
