import assert from "node:assert/strict";
import { parallelismFor } from "../../provider/src/worker/context/default-parallelism";

const mebibyte = 1024 ** 2;
const installed = { freeConnections: 90, sharedBuffersBytes: 128 * mebibyte, maintenanceWorkMemBytes: 64 * mebibyte };

describe("the default parallelism of two servers", () => {
  const cases = [
    { title: "is 4 with PostgreSQL's default settings", source: {}, target: {}, jobs: [4, 4] },
    {
      title: "is 6 with large servers",
      source: { sharedBuffersBytes: 16384 * mebibyte },
      target: { sharedBuffersBytes: 6144 * mebibyte },
      jobs: [6, 6],
    },
    {
      title: "is 8 at most",
      source: { sharedBuffersBytes: 65536 * mebibyte },
      target: { sharedBuffersBytes: 65536 * mebibyte },
      jobs: [8, 8],
    },
    {
      title: "follows the smaller server",
      source: {},
      target: { sharedBuffersBytes: 65536 * mebibyte },
      jobs: [4, 4],
    },
    { title: "is 2 if one server has few free connections", source: { freeConnections: 11 }, target: {}, jobs: [2, 2] },
    {
      title: "is 1 if one server has hardly any free connection",
      source: {},
      target: { freeConnections: 1 },
      jobs: [1, 1],
    },
    {
      title: "limits index jobs by the target's maintenance_work_mem",
      source: {},
      target: { maintenanceWorkMemBytes: 1024 * mebibyte },
      jobs: [4, 2],
    },
    {
      title: "ignores the source's maintenance_work_mem",
      source: { maintenanceWorkMemBytes: 1024 * mebibyte },
      target: {},
      jobs: [4, 4],
    },
  ];
  for (const { title, source, target, jobs } of cases)
    it(title, () => {
      const { tableJobs, indexJobs } = parallelismFor({ ...installed, ...source }, { ...installed, ...target });
      assert.deepEqual([tableJobs, indexJobs], jobs);
    });
});
