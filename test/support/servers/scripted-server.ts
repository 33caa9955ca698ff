import { once } from "node:events";
import { createServer, type AddressInfo, type Socket } from "node:net";

export interface ScriptedServer {
  readonly port: number;
  stop(): void;
}

/**
 * A server that answers whatever a client sends with the next of these texts. Every byte is written by itself, so that
 * messages arrive in pieces.
 */
export async function startScriptedServer(answers: readonly Buffer[]): Promise<ScriptedServer> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    const left = [...answers];
    sockets.add(socket.on("error", () => undefined).setNoDelay());
    socket.on("data", () => {
      for (const byte of left.shift() ?? []) socket.write(Buffer.of(byte));
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    stop: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

const int32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};

/** A message of PostgreSQL's protocol. */
export const serverMessage = (type: string, body: Buffer | string = ""): Buffer =>
  Buffer.concat([announcedMessage(type, 4 + Buffer.byteLength(body)), Buffer.from(body)]);

/** Only the header of a message: its length counts itself, but not the type. */
export const announcedMessage = (type: string, length: number): Buffer =>
  Buffer.concat([Buffer.from(type), int32(length)]);

/** The server's answer to the start-up message, which asks for an authentication method. */
export const authenticationRequest = (method: number, rest = ""): Buffer =>
  serverMessage("R", Buffer.concat([int32(method), Buffer.from(rest)]));
