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
});
