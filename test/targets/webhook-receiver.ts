import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import type { WebhookEvent } from "../../provider/dist/webhook/webhook-event.js";

interface Delivery {
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
  readonly payload: { readonly type: WebhookEvent["type"]; readonly data: StateData & TargetData };
}

type StateData = Extract<WebhookEvent, { type: "migration.state" }>["data"];
type TargetData = Partial<Extract<WebhookEvent, { type: "target.unreachable" | "target.reachable" }>["data"]>;

type Answer = (count: number) => number | "hang";

/** A server that records deliveries. `answer` returns the status, or `hang` for no answer. */
export class WebhookReceiver {
  readonly deliveries: Delivery[] = [];
  readonly #server: Server;

  private constructor(answer: Answer) {
    this.#server = createServer((request, response: ServerResponse) => {
      void text(request).then((body) => {
        const payload = JSON.parse(body) as Delivery["payload"];
        this.deliveries.push({ headers: request.headers, body, payload });
        const status = answer(this.deliveries.length);
        if (status !== "hang") response.writeHead(status, { location: "/elsewhere" }).end();
      });
    });
  }

  static async start(answer: Answer = () => 200): Promise<WebhookReceiver> {
    const receiver = new WebhookReceiver(answer);
    await new Promise<void>((resolve) => receiver.#server.listen(0, "127.0.0.1", resolve));
    return receiver;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/hook/token-in-the-address`;
  }

  get states(): string[] {
    return this.deliveries.map(({ payload: { data } }) => `${data.state} / ${data.subState}`);
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
