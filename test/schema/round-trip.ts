import assert from "node:assert/strict";
import { isDeepStrictEqual } from "node:util";
import { connect } from "../../provider/src/postgres/connection/connect";
import type { Endpoint } from "../../provider/src/postgres/connection/endpoint";
import { dumpSchema } from "../../provider/src/schema/dump/dump";
import { type Entry, parseTocEntries } from "../../provider/src/schema/sql/toc-entries";
import { refreshMaterializedViews } from "../../provider/src/schema/restore/materialized-views";
import { readRestoreContext } from "../../provider/src/schema/restore/restore-context";
import { planRestore } from "../../provider/src/schema/plan/restore-plan";
import { restoreEntries } from "../../provider/src/schema/restore/restore";
import { splitStatements } from "../../provider/src/schema/sql/statements";
import { type AzureLikeOptions, startAzureLikeServer } from "../support/servers/azure-like";
import { EmbeddedServer, type Login, type Major } from "../support/servers/embedded-server";
import { owner, reader, richRoles, richSchema } from "./rich-database";

const endpoint = (login: Login): Endpoint => ({ ...login, sslMode: "Disable" });

async function entriesOf(login: Login, database: string, tool: "native" | "wasm"): Promise<Entry[]> {
  return parseTocEntries((await dumpSchema(endpoint(login), database, { tool })).text);
}

const keyOf = ({ type, schema, name }: Entry): string => `${type} ${schema ?? "-"} ${name}`;

/** An entry's statements by its key, ignoring white space: releases of pg_dump break lines differently. */
function statementsByKey(entries: readonly Entry[]): Map<string, string[]> {
  return new Map(
    entries.map((entry) => [
      keyOf(entry),
      splitStatements(entry.sql).map(({ tokens }) => tokens.map(({ text }) => text).join(" ")),
    ]),
  );
}

/** Defines the tests from one version to another. */
export function restoreRichSchema(sourceMajor: Major, targetMajor: AzureLikeOptions["major"]): void {
  describe(`a rich schema from PostgreSQL ${sourceMajor} on a managed PostgreSQL ${targetMajor}`, () => {
    let source: EmbeddedServer;
    let target: EmbeddedServer;
    let administrator: Login;

    before(async () => {
      [source, { server: target, administrator }] = await Promise.all([
        EmbeddedServer.start({ major: sourceMajor }),
        startAzureLikeServer({ major: targetMajor }),
      ]);
      await source.query("CREATE DATABASE rich");
      await source.query(richRoles, { database: "rich" });
      await source.query(richSchema(sourceMajor), { database: "rich" });
      await target.query(
        `CREATE ROLE ${owner}; CREATE ROLE "${reader}"; GRANT ${owner} TO ${administrator.user} WITH SET TRUE, INHERIT TRUE;
         GRANT "${reader}" TO ${administrator.user} WITH SET TRUE`,
      );
    });

    after(async () => {
      await source.stop();
      await target.stop();
    });

    it("has the same entries in a native and in the embedded pg_dump", async function () {
      // The native tool of this machine may be too old, or missing.
      const native = await entriesOf(source.login, "rich", "native").catch(() => undefined);
      if (!native) return this.skip();
      const embedded = await entriesOf(source.login, "rich", "wasm");
      assert.deepEqual(embedded.map(keyOf), native.map(keyOf));
      assert.ok(!embedded.some(({ name }) => name === "stolen"));
      const body = (entries: Entry[]): string => entries.find(({ name }) => name === "pasted()")!.sql;
      assert.match(body(embedded), /\n\\restrict abcdef\n\\unrestrict abcdef\n/);
      assert.ok(body(embedded).startsWith(body(native).slice(0, body(native).lastIndexOf("$_$"))));
    });

    it("is the same after each of two restores by an administrator without superuser rights", async () => {
      const entries = await entriesOf(source.login, "rich", "wasm");
      await target.query("CREATE DATABASE rich", { login: administrator });
      const plan = planRestore(entries);
      const to = await connect(endpoint(administrator), { database: "rich", purpose: "test" });
      const from = await connect(endpoint(source.login), { database: "rich", purpose: "test" });
      try {
        for (const resumed of [false, true]) {
          const context = await readRestoreContext(to, { resumed });
          const builds = [...plan.builds, ...plan.deferredBuilds].map(({ entry }) => entry).reverse();
          const validations = plan.validations.map(({ entry }) => entry);
          const findings = [];
          for (const part of [plan.before, builds, plan.after, validations])
            findings.push(...(await restoreEntries(to, part, context)));
          findings.push(...(await refreshMaterializedViews(from, to, plan.materializedViews, context)));
          findings.push(...(await restoreEntries(to, plan.handover, context)));
          assert.deepEqual(
            findings.filter(({ object }) => object !== "public"),
            [],
          );
        }
        const { rows } = await to.query("SELECT matviewname FROM pg_matviews WHERE NOT ispopulated");
        assert.deepEqual(rows, [{ matviewname: "never_filled" }]);
      } finally {
        await to.end();
        await from.end();
      }
      const restored = statementsByKey(await entriesOf(target.login, "rich", "wasm"));
      const expected = statementsByKey(entries);
      // Before 15, the schema public had another owner and other privileges.
      for (const key of ["SCHEMA - public", "ACL - SCHEMA public", "COMMENT - SCHEMA public"]) {
        expected.delete(key);
        restored.delete(key);
      }
      assert.deepEqual([...restored.keys()].sort(), [...expected.keys()].sort());
      const differing = [...expected].filter(([key, statements]) => !isDeepStrictEqual(restored.get(key), statements));
      // Differences between releases: qualified names in queries, EXECUTE FUNCTION (11), multiranges (14), the
      // privilege MAINTAIN (17).
      const isSpelling = ([key]: [string, string[]]): boolean =>
        sourceMajor !== targetMajor &&
        /VIEW|^RULE|^POLICY|^TRIGGER|^TYPE app floatrange|^ACL app TABLE invoice/.test(key);
      assert.deepEqual(
        differing.filter((one) => !isSpelling(one)).map(([key, statements]) => [key, statements, restored.get(key)]),
        [],
      );
    });
  });
}
