import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { PgMigration } from "pulumi-pg-migration";

const folder = resolve("test/lifecycle/frozen");
const load = createRequire(resolve("package.json"));

interface Provider {
  check(olds: unknown, news: unknown): Promise<{ failures: { property: string }[] }>;
  read(id: string, props: unknown): Promise<{ id: string }>;
}

/** Evaluates the text as Pulumi's dynamic provider does. */
function revive(text: string): Provider {
  const module = { exports: {} as { handler: () => Provider } };
  // eslint-disable-next-line @typescript-eslint/no-implied-eval, @typescript-eslint/no-unsafe-call
  new Function("module", "exports", "require", text)(module, module.exports, load);
  return module.exports.handler();
}

/** `read` and `delete` run the text that an earlier version of the package stored in the state. It is a state format. */
describe("the provider's text in the state", () => {
  it("equals the frozen text; after a necessary change, add the new text to the frozen ones", async () => {
    let text = "";
    await pulumi.runtime.setMocks({
      newResource: ({ inputs, name }) => {
        text = (inputs as { __provider: string }).__provider;
        return { id: name, state: inputs as Record<string, unknown> };
      },
      call: ({ inputs }) => inputs as Record<string, unknown>,
    });
    const migration = new PgMigration("m", { dbsToMigrate: ["crm"] });
    await new Promise((done) => migration.urn.apply(done));
    await new Promise((done) => setTimeout(done, 500));
    assert.equal(text.trim(), (await readFile(join(folder, "provider-1.txt"), "utf8")).trim());
  });

  it("works in every published form", async () => {
    for (const file of await readdir(folder)) {
      const provider = revive(await readFile(join(folder, file), "utf8"));
      assert.deepEqual(Object.keys(provider).sort(), ["check", "create", "delete", "diff", "read", "update"], file);
      const { failures } = await provider.check({}, { migrationName: "no spaces" });
      assert(
        failures.some(({ property }) => property === "migrationName"),
        file,
      );
      assert.equal((await provider.read("id", { of: "another form" })).id, "id", "read never throws");
    }
  });
});
