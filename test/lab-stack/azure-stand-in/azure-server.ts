import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { join } from "node:path";
import type { ProviderLauncher } from "../../../tools/pulumi-host/processes/provider-process";
import { Cloud, type CloudOptions } from "./cloud";
import type { ProviderRequest } from "./provider";
import type { Properties } from "./properties";

const token = "stand-in-token";

/** Serves the stand-in over HTTP: to its Pulumi provider, and as Azure Resource Manager to clients with its token. */
export class AzureServer {
  private constructor(
    readonly cloud: Cloud,
    readonly url: string,
    readonly server: Server,
  ) {}

  static async start(options: CloudOptions = { withDatabases: false }): Promise<AzureServer> {
    const cloud = new Cloud(options);
    const server = createServer((request, response) => {
      answer(cloud, request, response).catch((error: unknown) => {
        const message = error instanceof Error ? error.message : String(error);
        response.writeHead(409, { "content-type": "application/json" }).end(JSON.stringify({ error: message }));
      });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("the stand-in did not get a port");
    return new AzureServer(cloud, `http://127.0.0.1:${address.port}`, server);
  }

  /** Launchers of the providers azure-native and random, which use this stand-in. */
  get providers(): Readonly<Record<string, ProviderLauncher>> {
    const launcher = (program: string): ProviderLauncher => ({
      command: process.execPath,
      arguments: ["--import", "tsx", join(__dirname, program)],
      environment: { AZURE_STAND_IN: this.url },
    });
    return { "azure-native": launcher("provider-main.ts"), random: launcher("random-main.ts") };
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
    await this.cloud.close();
  }
}

async function answer(cloud: Cloud, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const send = (status: number, body: unknown, headers: Record<string, string> = {}) =>
    response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(body));
  const url = new URL(request.url ?? "/", `http://${request.headers.host ?? "localhost"}`);
  const body = await bodyOf(request);
  if (url.pathname === "/provider") return void send(200, (await perform(cloud, body as ProviderRequest)) ?? null);
  if (request.headers.authorization !== `Bearer ${token}`) return void send(401, { error: "no valid token" });
  if (!url.searchParams.has("api-version")) return void send(400, { error: "MissingApiVersionParameter" });
  if (url.pathname.startsWith("/operations/")) return void send(200, { status: "Succeeded" });
  if (request.method === "GET" && url.pathname.endsWith("/A"))
    return void send(200, { value: cloud.records(url.pathname.slice(0, -"/A".length)) });
  if (request.method === "GET" && /\/migrations\/[^/]+$/.test(url.pathname))
    return void send(200, cloud.readMigration(url.pathname));
  if (request.method === "POST" && /\/Microsoft\.App\/jobs\/[^/]+\/start$/.test(url.pathname)) {
    await cloud.startJob(url.pathname.slice(0, -"/start".length));
    return void send(202, {});
  }
  if (request.method === "POST" && url.pathname.endsWith("/restart")) {
    await cloud.restart(url.pathname.slice(0, -"/restart".length));
    return void send(202, {}, { "azure-asyncoperation": `${url.origin}/operations/1?api-version=1` });
  }
  return void send(404, { error: `the stand-in does not support ${request.method ?? ""} ${url.pathname}` });
}

async function perform(cloud: Cloud, request: ProviderRequest): Promise<unknown> {
  const { type, id, inputs } = request;
  switch (request.method) {
    case "check":
      return cloud.check(type, inputs);
    case "diff":
      return cloud.diff(type, id, inputs);
    case "create":
      return cloud.create(type, inputs);
    case "update":
      return cloud.update(type, id, inputs);
    case "read":
      return cloud.read(id);
    case "delete":
      return cloud.delete(type, id);
    case "invoke":
      return type.includes("getSharedKeys") ? { primarySharedKey: "workspace-key" } : { token };
  }
}

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString();
  return text === "" ? {} : (JSON.parse(text) as Properties);
}
