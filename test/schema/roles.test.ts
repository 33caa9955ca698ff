import assert from "node:assert/strict";
import { type Client, DatabaseError } from "pg";
import { connect } from "../../provider/src/postgres/connection/connect";
import { migrateRoles } from "../../provider/src/schema/database/roles";
import type { RestoreFinding } from "../../provider/src/schema/sql/restore-findings";
import { startAzureLikeServer } from "../support/servers/azure-like";
import { EmbeddedServer, type Login } from "../support/servers/embedded-server";

const roles = `
  CREATE ROLE azure_pg_admin; CREATE ROLE builder CREATEDB; CREATE ROLE person LOGIN PASSWORD 'p';
  CREATE ROLE reader LOGIN PASSWORD 'r'; GRANT azure_pg_admin, pg_read_all_settings TO person`;

describe("the migration of roles", () => {
  let source: EmbeddedServer;
  const stops: (() => Promise<void>)[] = [];

  before(async () => {
    source = await EmbeddedServer.start({ major: 14 });
    stops.push(() => source.stop());
    await source.query(roles);
  });

  after(async () => {
    for (const stop of stops.reverse()) await stop();
  });

  async function sessionOf(login: Login): Promise<Client> {
    const session = await connect({ ...login, sslMode: "Disable" }, { database: "postgres", purpose: "test" });
    stops.push(() => session.end());
    return session;
  }

  /** A session of a role that may create roles, and has no other privilege. */
  async function limitedTarget(major: 14 | 17): Promise<Client> {
    const { server } = await startAzureLikeServer({ major });
    stops.push(() => server.stop());
    await server.query("CREATE ROLE limited LOGIN CREATEROLE PASSWORD 'l'");
    return sessionOf({ ...server.login, user: "limited", password: "l" });
  }

  /** The codes and objects of findings. */
  const codesOf = (findings: readonly RestoreFinding[]): string[] =>
    findings.map(({ code, object }) => `${code} ${object}`).sort();

  it("reports roles, passwords and memberships that it could not migrate", async () => {
    const asReader = await sessionOf({ ...source.login, user: "reader", password: "r" });
    const findings = await migrateRoles(asReader, await limitedTarget(17), []);
    assert.deepEqual(codesOf(findings), [
      "603701 builder",
      "603702 person",
      "603702 reader",
      "603705 person",
      "603707 person",
    ]);
    assert.match(findings.find(({ code }) => code === "603701")!.message, /permission denied to create role/);
    assert.equal(findings.find(({ code }) => code === "603707")!.remedy, 'GRANT "azure_pg_admin" TO "person"');
  });

  it("reports roles of which the migrating role does not become a member", async () => {
    const target = await limitedTarget(14);
    // Servers of the community let a role with CREATEROLE grant every role. Those of a service may refuse.
    const refusing = new Proxy(target, {
      get: (session, name) =>
        name === "query"
          ? (sql: string, values?: unknown[]) =>
              sql.startsWith('GRANT "builder"')
                ? Promise.reject(Object.assign(new DatabaseError("permission denied", 0, "error"), { code: "42501" }))
                : session.query(sql, values)
          : (Reflect.get(session, name) as unknown),
    });
    const findings = await migrateRoles(await sessionOf(source.login), refusing, []);
    assert.deepEqual(codesOf(findings.filter(({ object }) => object === "builder")), ["603704 builder"]);
  });
});
