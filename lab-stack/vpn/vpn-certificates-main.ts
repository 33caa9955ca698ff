import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Certificate, makeVpnCertificates } from "./vpn-certificates";

const usage = `npm run vpn-certificates [-- --client NAME]... [--days N] [--directory D]

Creates a root certificate for the lab's VPN gateway and one certificate for each client, with keys, as PEM files.

  --client NAME   name of a client, can be repeated (default: client)
  --days N        validity in days (default: 365)
  --directory D   output directory (default: certificates, where the stack expects vpn-root.pem)`;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      client: { type: "string", multiple: true, default: ["client"] },
      days: { type: "string", default: "365" },
      directory: { type: "string", default: "certificates" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    console.log(usage);
    return;
  }
  const days = Number(values.days);
  if (!Number.isInteger(days) || days < 1)
    throw new Error(`invalid --days "${values.days}": expected a whole number of at least 1`);
  const invalid = values.client.find((name) => !/^[\w.-]+$/.test(name));
  if (invalid !== undefined)
    throw new Error(`invalid --client "${invalid}": expected letters, digits, dots, hyphens and underscores`);
  const root = join(values.directory, "vpn-root.pem");
  if (existsSync(root)) throw new Error(`${root} exists and may be in use. Move it first, or set --directory`);
  const created = await makeVpnCertificates(values.client, days);
  await mkdir(values.directory, { recursive: true });
  await save(values.directory, "vpn-root", created.root);
  for (const client of created.clients) await save(values.directory, `vpn-${client.name}`, client);
  console.log(`The stack sends ${root} to Azure. Keep every .key.pem file secret.`);
}

async function save(directory: string, name: string, { certificate, privateKey }: Certificate): Promise<void> {
  await writeFile(join(directory, `${name}.pem`), `${certificate}\n`);
  await writeFile(join(directory, `${name}.key.pem`), `${privateKey}\n`, { mode: 0o600 });
  console.log(`wrote ${name}.pem and ${name}.key.pem to ${directory}`);
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
