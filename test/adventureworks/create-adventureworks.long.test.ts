import assert from "node:assert/strict";
import { catalogue, nameOf } from "../../tools/adventureworks/catalogue";
import { quoted } from "../../tools/adventureworks/schema/tables";
import { EmbeddedServer } from "../support/servers/embedded-server";
import { countIn, createAt, createOnEmptyServer } from "./created";

describe("AdventureWorks at its real size", () => {
  let server: EmbeddedServer;
  before(async () => {
    server = await EmbeddedServer.start({ major: 14 });
  });
  after(() => server.stop());

  it("has the real row counts at scale 1", async () => {
    const created = await createAt(server, "real", 1);
    assert.equal(
      created.rows,
      catalogue.tables.reduce((sum, table) => sum + table.rows, 0),
    );
    for (const table of catalogue.tables) {
      assert.equal(await countIn(server, "real", quoted(nameOf(table))), table.rows, nameOf(table));
    }
  });
});

createOnEmptyServer(16);
createOnEmptyServer(17);
