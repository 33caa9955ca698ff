import assert from "node:assert/strict";
import { assertSameContent } from "../support/content";
import { Lab } from "../support/lab";
import { Resource } from "../support/resource";
import { secretsIn } from "../support/secrets";
import { certificateFor } from "../support/servers/certificates";
import type { EmbeddedServer } from "../support/servers/embedded-server";
import { scramVerifier } from "../support/servers/scram-verifier";
import { TokenIssuer, clientId, newToken } from "../support/token-issuer";
import { until } from "../support/until";

describe("a migration without passwords", () => {
  const auth = { kind: "entra", credential: "managedIdentity", clientId };
  let lab: Lab;
  let issuer: TokenIssuer;
  let issued: string[];

  before(async () => {
    const tls = await certificateFor("localhost");
    const server = {
      parameters: { ssl: "on", ssl_cert_file: "server.crt", ssl_key_file: "server.key" },
      files: { "server.crt": tls.certificate, "server.key": tls.privateKey },
    };
    lab = await Lab.start({ source: server, target: server });
    await lab.source.query("CREATE ROLE migrator LOGIN SUPERUSER");
  });

  beforeEach(async () => {
    issuer = await TokenIssuer.start();
    issuer.setEnvironment("azure");
    // Each connection needs another request, and the token of a request that fails has expired.
    issuer.validSeconds = 1;
    issued = [];
    await renew();
  });

  afterEach(() => issuer.stop());
  after(() => lab.stop());

  /** Both servers refuse the earlier token. */
  async function renew(): Promise<void> {
    issuer.token = newToken();
    issued.push(issuer.token);
    const password = scramVerifier(issuer.token);
    await lab.source.query(`ALTER ROLE migrator PASSWORD '${password}'`);
    await lab.target.query(`ALTER ROLE ${lab.administrator.user} PASSWORD '${password}'`);
  }

  const servers = (): Record<string, unknown> => ({
    source: { host: "127.0.0.1", port: lab.source.port, user: "migrator", auth },
    target: { host: "127.0.0.1", port: lab.target.port, user: lab.administrator.user, auth },
  });

  /** Ends all sessions of the migration, as a restart of the servers does. */
  async function endSessions(...servers: readonly EmbeddedServer[]): Promise<void> {
    const sql = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                  WHERE application_name LIKE 'pg-migration%' AND pid <> pg_backend_pid()`;
    await Promise.all(servers.map((server) => server.query(sql)));
  }

  it("reconnects with renewed tokens, survives an outage of their issuer, and stores no token", async () => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
    const resource = await lab.follow([database], servers());
    const applied = (id: number): Promise<void> =>
      until(`row ${id} is applied`, async () => {
        const rows = await lab.target.query(`SELECT FROM t WHERE id = ${id}`, { database });
        return rows.length === 1;
      });
    await renew();
    await endSessions(lab.source, lab.target);
    await lab.querySource(database, "INSERT INTO t VALUES (2)");
    await applied(2);
    await until("the session that records events is connected again", async () => {
      const rows = await lab.target.query(
        `SELECT FROM pgmigration.migration JOIN pg_stat_activity ON pid = (worker ->> 'backendPid')::int`,
      );
      return rows.length === 1;
    });
    await issuer.halt();
    // The session that records events stays.
    await endSessions(lab.source);
    await until("the worker reports the outage", async () => {
      const events = await lab.target.query<{ message: string }>("SELECT message FROM pgmigration.event");
      return events.some(({ message }) => /PGM-105: Microsoft Entra, credential managedIdentity/.test(message));
    });
    await issuer.resume();
    await lab.querySource(database, "INSERT INTO t VALUES (3)");
    await applied(3);
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    await assertSameContent({ server: lab.source, database }, { server: lab.target, database });
    const texts = [JSON.stringify(resource.outputs)];
    assert.deepEqual(await secretsIn(issued, { lab, texts }), []);
    await resource.destroy();
  });

  it("is validated: an unknown identity is one finding for each server", async () => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY)");
    const source = { ...(servers().source as object), auth: { ...auth, clientId: "wrong" } };
    const resource = new Resource();
    const text = await Resource.failure(resource.create(lab.inputs([database], { ...servers(), source })));
    assert.match(text, /PGM-105.*credential managedIdentity, client id wrong.*set auth\.clientId/s);
    await resource.destroy();
  });
});
