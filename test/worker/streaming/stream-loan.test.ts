import assert from "node:assert/strict";
import { initProgress } from "../../../provider/src/cdc/target/progress";
import { applyGeneration } from "../../../provider/src/worker/context/apply-generation";
import type { Followers } from "../../../provider/src/worker/followers/followers";
import type { StreamRecord } from "../../../provider/src/worker/followers/stream-record";
import { StreamLoan } from "../../../provider/src/worker/streaming/stream-loan";
import type { StreamLoanRecord } from "../../../provider/src/store/streams/lent-streams";
import { endpointOf, freshDatabase, open } from "../../copy/pairs";
import { EmbeddedServer } from "../../support/servers/embedded-server";

describe("a stream that was lent", () => {
  let server: EmbeddedServer;

  before(async () => {
    server = await EmbeddedServer.start({ major: 16 });
  });
  after(() => server.stop());

  /** @param answers results of the statements on the records, or their errors */
  async function loanOf(answers: (readonly object[] | Error)[], report: () => Promise<void>) {
    const database = await freshDatabase(server);
    const session = await open(server, database);
    const slot = { slot: "s", consistentPoint: 1n, systemIdentifier: "1", timeline: 1 };
    await initProgress(session, "m", applyGeneration(1, 0), slot);
    await session.end();
    const sent: (readonly unknown[])[] = [];
    const query = (_sql: string, values: readonly unknown[] = []): Promise<readonly object[]> => {
      sent.push(values);
      const answer = answers.shift() ?? [];
      return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
    };
    const work = {
      ...{ generation: 1, spec: { migrationName: "m" }, target: endpointOf(server), journal: { lease: { query } } },
      owner: { migration: "m", startedAt: "", generation: 1 },
    };
    const record = { work, database, targetName: database, skipped: [], report } as unknown as StreamRecord;
    const started: number[] = [];
    const followers = {
      current: { stop: () => Promise.resolve(), status: () => ({ state: "stopped" }) },
      start: () => started.push(loan.generation - applyGeneration(1, 0)),
    } as unknown as Followers;
    const loan: StreamLoan = new StreamLoan(record, () => followers);
    const request = { database, borrower: "host:1:tag" } as StreamLoanRecord;
    return { loan, request, started, sent };
  }

  const fails = (): Promise<void> => Promise.reject(new Error("the records cannot be written"));
  const isFailure = /the records cannot be written/;

  it("has a follower again although the return cannot be reported", async () => {
    const { loan, request, started } = await loanOf([[{ database: "" }]], fails);
    await assert.rejects(loan.lend(request), isFailure);
    await assert.rejects(loan.takeBack("test"), isFailure);
    assert.deepEqual(started, [2]);
    assert.equal(loan.borrower, undefined);
  });

  it("has a follower again although a request that has expired cannot be deleted", async () => {
    const { loan, request, started } = await loanOf([[], new Error("the records cannot be written")], fails);
    await assert.rejects(loan.lend(request), isFailure);
    assert.equal(started.length, 1);
    assert.equal(loan.borrower, undefined);
  });

  it("has a later term than the request that was refused, because its worker may have received the first answer", async () => {
    const { loan, request, started, sent } = await loanOf([[]], fails);
    await loan.lend(request);
    const [lent] = sent;
    assert.deepEqual([lent![2], started], [1, [2]]);
  });
});
