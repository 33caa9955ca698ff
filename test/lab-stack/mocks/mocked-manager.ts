import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";

export const records = { value: [{ name: "a1b2c3", properties: { aRecords: [{ ipv4Address: "10.0.1.4" }] } }] };

const succeededMigration = { properties: { currentStatus: { state: "Succeeded" } } };

/** Successive answers to the same request. The last one repeats. */
export class Successive {
  constructor(readonly answers: readonly [unknown, ...unknown[]]) {}

  #next = 0;

  take(): unknown {
    return this.answers[Math.min(this.#next++, this.answers.length - 1)];
  }
}

/** Azure Resource Manager for a lab under Pulumi's mocks. It requires the mocked token and an API version. */
export class MockedManager {
  private constructor(
    readonly url: string,
    readonly server: Server,
  ) {}

  /** @param answers by the end of the path, in addition to those for A records and the migration */
  static async start(answers: Readonly<Record<string, unknown>> = {}): Promise<MockedManager> {
    const all = Object.entries<unknown>({ "/A": records, "/lab-migration": succeededMigration, ...answers });
    const server = createServer((request, response) => {
      const { pathname, searchParams } = new URL(request.url ?? "/", "http://localhost");
      const isAuthorized = request.headers.authorization === "Bearer mocked-token" && searchParams.has("api-version");
      const found = all.find(([end]) => pathname.endsWith(end));
      const [, answer = {}] = found ?? [];
      const body = answer instanceof Successive ? answer.take() : answer;
      response.writeHead(!isAuthorized ? 401 : found ? 200 : 404).end(JSON.stringify(body));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return new MockedManager(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, server);
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }
}
