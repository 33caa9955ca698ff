import assert from "node:assert/strict";
import * as pulumi from "@pulumi/pulumi";
import pg from "pg";
import { connectionStrings } from "../../../lab-stack/server/connection-strings";
import { valueOf } from "../mocks/mocked-lab";

const parts = {
  host: "psql-x.postgres.database.azure.com",
  user: "pg admin",
  password: `p@ss/w"or'd;=`,
  database: "adventure works",
};

describe("lab-stack: connection strings", () => {
  it("are secret and name the same server in each dialect", async () => {
    const strings = connectionStrings(parts);
    assert.equal(await pulumi.isSecret(strings), true);
    const { psql, libpq, jdbc, dotnet, node } = await valueOf(strings);
    assert.equal(
      psql,
      String.raw`psql 'host=psql-x.postgres.database.azure.com port=5432 dbname='\''adventure works'\'' user='\''pg admin'\'' sslmode=require'`,
    );
    assert(!psql.includes(parts.password));
    for (const url of [libpq, node, jdbc.slice("jdbc:".length)]) {
      const read = new URL(url);
      const given = (name: "username" | "password", query: string) =>
        decodeURIComponent(read[name]) || read.searchParams.get(query);
      assert.equal(read.hostname, parts.host);
      assert.equal(given("username", "user"), parts.user);
      assert.equal(given("password", "password"), parts.password);
      assert.equal(decodeURIComponent(read.pathname), `/${parts.database}`);
    }
    assert.match(dotnet, /Password="p@ss\/w""or'd;=";SSL Mode=Require$/);
  });

  it("are accepted by pg", async () => {
    const { node } = await valueOf(connectionStrings(parts));
    const client = new pg.Client(node);
    assert.deepEqual(
      [client.host, client.user, client.password, client.database, client.port],
      [parts.host, parts.user, parts.password, parts.database, 5432],
    );
    assert(client.ssl);
  });
});
