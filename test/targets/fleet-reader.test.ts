import assert from "node:assert/strict";
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { FleetReader } from "../../provider/src/fleet/fleet-reader";
import { fleetRows } from "../../provider/src/fleet/fleet-rows";
import type { Target } from "../../provider/src/fleet/target";
import { until } from "../support/until";

describe("the reader of many targets", () => {
  let silent: Server;
  const sockets: Socket[] = [];

  before(async () => {
    // Accepts connections, and never answers.
    silent = createServer((socket) => sockets.push(socket.on("error", () => undefined)));
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
  });

  after(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => silent.close(resolve));
  });

  const targetAt = (name: string, port: number): Target => {
    const login = { host: "127.0.0.1", port, user: "u", password: "p", sslMode: "Disable" as const };
    return { name, address: { target: login, maintenanceDatabase: "postgres" } };
  };

  it("reads other targets while more targets than it reads at once do not answer", async () => {
    const { port } = silent.address() as AddressInfo;
    const targets = Array.from({ length: 20 }, (_, i) => targetAt(`silent-${i}`, port));
    const reader = new FleetReader([...targets, targetAt("closed", 1)], () => Promise.resolve([]), "test");
    const polled = reader.poll();
    const failed = (): string[] =>
      fleetRows(reader.readings).flatMap(({ target, unreachable }) => (unreachable === null ? [] : [target]));
    await until("a target is read", () => failed().length > 0, 30);
    assert.deepEqual(failed(), ["closed"]);
    await polled;
    assert.equal(failed().length, 21);
    assert(reader.readings.every(({ failingSince }) => failingSince !== undefined && failingSince <= Date.now()));
    const connections = sockets.length;
    await reader.poll();
    assert.equal(sockets.length, connections, "targets that failed are read again later");
    await reader.close();
  });
});
