import * as grpc from "@grpc/grpc-js";
import { Struct } from "google-protobuf/google/protobuf/struct_pb";
import type { PropertyMap } from "./property-value";

const options = { "grpc.max_receive_message_length": 400 * 1024 * 1024 };

/** A gRPC server on a free loopback port. */
export class RpcServer {
  readonly address: string;
  readonly #server: grpc.Server;

  private constructor(server: grpc.Server, port: number) {
    this.#server = server;
    this.address = `127.0.0.1:${port}`;
  }

  static async start(): Promise<RpcServer> {
    const server = new grpc.Server(options);
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, bound) => {
        if (error) reject(error);
        else resolve(bound);
      });
    });
    return new RpcServer(server, port);
  }

  add<Methods extends grpc.UntypedServiceImplementation>(
    service: grpc.ServiceDefinition<Methods>,
    methods: Methods,
  ): void {
    this.#server.addService(service, methods);
  }

  stop(): void {
    this.#server.forceShutdown();
  }
}

export class RpcError extends Error {
  override readonly name = "RpcError";
  readonly code: grpc.status;

  constructor(code: grpc.status, message: string) {
    super(message);
    this.code = code;
  }
}

/** Makes a method of a service from an asynchronous function. */
export function method<Request, Response>(
  answer: (request: Request) => Response | Promise<Response>,
): grpc.handleUnaryCall<Request, Response> {
  return (call, respond) => {
    Promise.resolve(call.request)
      .then(answer)
      .then(
        (response) => respond(null, response),
        (error: unknown) => {
          const code = error instanceof RpcError ? error.code : grpc.status.UNKNOWN;
          respond({ code, details: error instanceof Error ? error.message : String(error) });
        },
      );
  };
}

/** Returns the answer of a call as a promise. */
export function answer<Response>(
  call: (done: (error: grpc.ServiceError | null, response: Response) => void) => unknown,
): Promise<Response> {
  return new Promise((resolve, reject) => {
    call((error, response) => {
      if (error) reject(error);
      else resolve(response);
    });
  });
}

export function clientOptions(): grpc.ClientOptions {
  return options;
}

export function toStruct(map: PropertyMap): Struct {
  return Struct.fromJavaScript(map);
}

export function fromStruct(struct: Struct | undefined): PropertyMap {
  return struct?.toJavaScript() ?? {};
}
