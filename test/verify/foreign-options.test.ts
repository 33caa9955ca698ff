import assert from "node:assert/strict";
import { connect } from "../../provider/src/postgres/connection/connect";
import { compareCompletely } from "../../provider/src/verify/compare-schema";
import { EmbeddedServer } from "../support/servers/embedded-server";

const foreign = `
  CREATE FOREIGN DATA WRAPPER "Far" OPTIONS (mode 'a'); CREATE SERVER away FOREIGN DATA WRAPPER "Far" OPTIONS (host 'here', port '1');
  CREATE USER MAPPING FOR PUBLIC SERVER away OPTIONS (user 'u', password 'secret');
  CREATE FOREIGN TABLE there ("A" int OPTIONS (name 'a'), b int) SERVER away OPTIONS (table_name 't')`;

it("reports the names of different options of foreign objects, without their values", async () => {
  const server = await EmbeddedServer.start({ major: 14 });
  try {
    const open = async (database: string) => {
      await server.query(`CREATE DATABASE ${database}`);
      await server.query(foreign, { database });
      return connect({ ...server.login, sslMode: "Disable" }, { database, purpose: "test" });
    };
    const roles = new Map([["postgres", { mayBecome: true }]]);
    const [one, other] = [await open("one"), await open("other")];
    try {
      assert.deepEqual(await compareCompletely(one, other, { roles }), []);
      await one.query(
        `ALTER FOREIGN DATA WRAPPER "Far" OPTIONS (SET mode 'b'); ALTER SERVER away OPTIONS (SET host 'there', ADD dbname 'd', DROP port);
         ALTER USER MAPPING FOR PUBLIC SERVER away OPTIONS (SET password 'other secret');
         ALTER FOREIGN TABLE public.there OPTIONS (SET table_name 'x'), ALTER "A" OPTIONS (SET name 'x')`,
      );
      const differences = await compareCompletely(one, other, { roles });
      assert.doesNotMatch(JSON.stringify(differences), /secret/);
      assert.deepEqual(
        differences.map(({ kind, name, source, target }) => [kind, name, source, target]),
        [
          ["column", 'public.there."A"', "foreign options name", "foreign options name"],
          ["foreign table", "public.there", "foreign options table_name", "foreign options table_name"],
          ["foreign-data wrapper", '"Far"', "foreign options mode", "foreign options mode"],
          ["server", "away", "foreign options dbname and host", "foreign options host and port"],
          ["user mapping", "FOR PUBLIC SERVER away", "foreign options password", "foreign options password"],
        ],
      );
    } finally {
      await one.end();
      await other.end();
    }
  } finally {
    await server.stop();
  }
});
