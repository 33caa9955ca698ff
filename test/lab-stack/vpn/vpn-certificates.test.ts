import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const program = ["--import", "tsx", resolve("lab-stack/vpn/vpn-certificates-main.ts")];

describe("lab-stack: npm run vpn-certificates", () => {
  let directory: string;
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "vpn-"));
    await run(process.execPath, [...program, "--directory", directory, "--client", "ann", "--client", "bob"]);
  });
  after(() => rm(directory, { recursive: true, force: true }));

  const certificate = async (name: string) => new X509Certificate(await readFile(join(directory, `${name}.pem`)));

  it("creates a root certificate and signed client certificates for client authentication", async () => {
    const root = await certificate("vpn-root");
    assert.equal(root.ca, true);
    assert(root.verify(root.publicKey));
    for (const name of ["ann", "bob"]) {
      const client = await certificate(`vpn-${name}`);
      assert.equal(client.subject, `CN=${name}`);
      assert.equal(client.ca, false);
      assert(client.checkIssued(root) && client.verify(root.publicKey));
      assert.deepEqual(client.keyUsage, ["1.3.6.1.5.5.7.3.2"]);
      const key = createPrivateKey(await readFile(join(directory, `vpn-${name}.key.pem`)));
      assert(client.checkPrivateKey(key));
    }
  });

  it("restricts keys to their owner, and does not replace a root certificate", async () => {
    assert.equal((await readdir(directory)).length, 6);
    assert.equal((await stat(join(directory, "vpn-root.key.pem"))).mode & 0o077, 0);
    const again = run(process.execPath, [...program, "--directory", directory]);
    await assert.rejects(again, /vpn-root\.pem exists and may be in use/);
  });
});
