import assert from "node:assert/strict";
import { serverParametersFrom, SettingsUnreadableError } from "../../../lab-stack/source/source-settings";
import { EmbeddedServer } from "../../support/servers/embedded-server";

describe("lab-stack: parameters copied from a source", () => {
  let source: EmbeddedServer;
  let target: EmbeddedServer;
  before(async () => {
    const parameters = { work_mem: "8MB", DateStyle: "German, DMY", lock_timeout: "3s", shared_buffers: "32MB" };
    [source, target] = await Promise.all([
      EmbeddedServer.start({ major: 14, parameters }),
      EmbeddedServer.start({ major: 17, parameters: { lock_timeout: "3s" } }),
    ]);
    await source.query("ALTER ROLE postgres SET statement_timeout = '1h'");
  });
  after(() => Promise.all([source.stop(), target.stop()]));

  const login = (server: EmbeddedServer) => ({ ...server.login, sslMode: "Prefer" as const });

  it("are the relevant ones that differ, with the reason, in base units", async () => {
    const proposals = await serverParametersFrom(login(source), login(target));
    const found = proposals.filter(({ name }) => ["work_mem", "DateStyle"].includes(name));
    assert.deepEqual(found, [
      { name: "DateStyle", value: "German, DMY", targetValue: "ISO, MDY", reason: "changes query results" },
      { name: "work_mem", value: "8192", targetValue: "4096", reason: "changes query plans and speed" },
    ]);
    const names = proposals.map(({ name }) => name);
    for (const absent of ["lock_timeout", "shared_buffers", "statement_timeout"])
      assert(!names.includes(absent), absent);
  });

  it("are compared with the defaults if the target does not exist yet", async () => {
    const names = (await serverParametersFrom(login(source))).map(({ name }) => name);
    for (const name of ["work_mem", "DateStyle", "lock_timeout"]) assert(names.includes(name), name);
  });

  it("fail with the server's error if its settings cannot be read", async () => {
    await assert.rejects(serverParametersFrom({ ...login(source), password: "wrong" }), (error) => {
      assert(error instanceof SettingsUnreadableError);
      assert.match(error.message, /could not read the settings of 127\.0\.0\.1:\d+: password authentication failed/);
      return true;
    });
  });
});
