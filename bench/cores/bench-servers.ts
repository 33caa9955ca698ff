import { EmbeddedServer } from "../../test/support/servers/embedded-server";
import type { BenchOptions } from "../options";
import { Measurement, type Servers } from "./measurement";

/** The versions of the servers between which all contenders migrate. */
export const sourceMajor = 14;
export const targetMajor = 17;

/** What a benchmark runs with. */
export interface Bench extends Servers {
  readonly measurement: Measurement;
  readonly options: BenchOptions;
}

/** Runs a benchmark between two new servers, and stops them. */
export async function withServers<Result>(
  options: BenchOptions,
  parameters: Readonly<Record<string, string | number>>,
  action: (bench: Bench) => Promise<Result>,
): Promise<Result> {
  const measurement = new Measurement(options.cores, options.quotaCores);
  const servers: EmbeddedServer[] = [];
  try {
    const source = await EmbeddedServer.start({ major: sourceMajor, parameters });
    servers.push(source);
    const target = await EmbeddedServer.start({ major: targetMajor, parameters });
    servers.push(target);
    return await action({ source, target, measurement, options });
  } finally {
    measurement.close();
    await Promise.all(servers.map((server) => server.stop()));
  }
}
