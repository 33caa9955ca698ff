import assert from "node:assert/strict";
import { provider } from "../../provider/src/resource/provider";
import { serverMessage, startScriptedServer } from "../support/servers/scripted-server";

describe("the provider of PgMigration", () => {
  it("escapes control characters in a server's message before Pulumi prints it", async () => {
    const error = "SFATAL\0VFATAL\0CXX000\0Mclear \u001b[2J the screen\0\0";
    const server = await startScriptedServer([serverMessage("E", error)]);
    const login = { host: "127.0.0.1", port: server.port, user: "u", password: "p", sslMode: "Disable" };
    try {
      await assert.rejects(
        provider.create({ migrationName: "m", source: { ...login, port: 1 }, target: login, dbsToMigrate: ["crm"] }),
        ({ message, stack }: Error) => {
          assert.match(message, /clear \\x1b\[2J the screen/);
          return stack === message;
        },
      );
    } finally {
      server.stop();
    }
  });

  it("ignores a status of another form, instead of an error in the preview", async () => {
    const server = (port: number) => ({ host: "127.0.0.1", port, user: "u", password: "p", sslMode: "Disable" });
    const inputs = { migrationName: "m", source: server(1), target: server(2), dbsToMigrate: ["crm"] };
    const details = { worker: { state: "running" }, currentSubStateDetails: { dbDetails: {} } };
    for (const currentStatus of ["x", {}, { state: "Failed" }, { ...details, currentSubStateDetails: {} }, [null]])
      assert.deepEqual(await provider.diff("id", { ...inputs, currentStatus }, { ...inputs, migrationName: "m" }), {
        changes: false,
      });
  });
});
