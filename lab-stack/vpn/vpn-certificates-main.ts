import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Certificate, makeVpnCertificates } from "./vpn-certificates";

const usage = `npm run vpn-certificates [-- --client NAME]... [--days N] [--directory D]

Makes a root certificate for the lab's VPN gateway and one for each client, with their keys, in PEM.

  --client NAME   a client's name; repeat it for several; default client
  --days N        how long they are valid; default 365
  --directory D   where the files go; default certificates, where the stack looks for vpn-root.pem`;

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
  if (!Number.isInteger(days) || days < 1) throw new Error(`--days is ${values.days}, but must be a whole number`);
  const unusable = values.client.find((name) => !/^[\w.-]+$/.test(name));
  if (unusable !== undefined) throw new Error(`--client is ${unusable}; use letters, digits, points and hyphens`);
  const root = join(values.directory, "vpn-root.pem");
  if (existsSync(root)) throw new Error(`${root} exists and may be in use; move it away first, or name a --directory`);
  const made = await makeVpnCertificates(values.client, days);
  await mkdir(values.directory, { recursive: true });
  await save(values.directory, "vpn-root", made.root);
  for (const client of made.clients) await save(values.directory, `vpn-${client.name}`, client);
  console.log(`${root} is what the stack gives to Azure; keep every .key.pem secret`);
}

async function save(directory: string, name: string, { certificate, privateKey }: Certificate): Promise<void> {
  await writeFile(join(directory, `${name}.pem`), `${certificate}\n`);
  await writeFile(join(directory, `${name}.key.pem`), `${privateKey}\n`, { mode: 0o600 });
  console.log(`${name}.pem and ${name}.key.pem, in ${directory}`);
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
