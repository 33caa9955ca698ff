import assert from "node:assert/strict";
import { catalogue } from "../../tools/adventureworks/catalogue";
import { createAdventureWorks } from "../../tools/adventureworks/create-adventureworks";
import { EmbeddedServer, type Major } from "../support/servers/embedded-server";

export async function createAt(server: EmbeddedServer, database: string, scale: number) {
  await server.query(`CREATE DATABASE ${database}`);
  return createAdventureWorks({ ...server.login, database }, { scale });
}

export async function countIn(server: EmbeddedServer, database: string, from: string): Promise<number> {
  const [row] = await server.query<{ count: number }>(`SELECT count(*)::integer AS count FROM ${from}`, { database });
  return row!.count;
}

export function createOnEmptyServer(major: Major): void {
  describe(`AdventureWorks on PostgreSQL ${major}`, () => {
    let server: EmbeddedServer;
    before(async () => {
      server = await EmbeddedServer.start({ major });
    });
    after(() => server.stop());

    it("can be created, and its views have rows", async () => {
      await createAt(server, "tiny", 0.002);
      for (const view of [...catalogue.views, ...catalogue.materializedViews]) {
        assert.ok((await countIn(server, "tiny", view)) > 0, view);
      }
    });
  });
}
