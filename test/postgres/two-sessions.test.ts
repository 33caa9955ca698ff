import assert from "node:assert/strict";
import type { Client } from "pg";
import { withTwoSessions } from "../../provider/src/postgres/connection/two-sessions";

describe("two sessions for one task", () => {
  it("are closed even if either cannot be opened or fails", async () => {
    let open = 0;
    const session = (): Promise<Client> => {
      open++;
      return Promise.resolve({ end: () => Promise.resolve(open--) } as unknown as Client);
    };
    const refuse = (): Promise<never> => Promise.reject(new Error("no"));
    assert.equal(await withTwoSessions(session, session, () => Promise.resolve(open)), 2);
    await assert.rejects(withTwoSessions(session, refuse, refuse), /no/);
    await assert.rejects(withTwoSessions(session, session, refuse), /no/);
    assert.equal(open, 0);
  });
});
