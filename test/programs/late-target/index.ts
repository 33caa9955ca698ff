import * as pulumi from "@pulumi/pulumi";
import { PgMigration } from "pulumi-pg-migration";

const config = new pulumi.Config();

/** Stands for a server that is provisioned: its address is an output. */
class Server extends pulumi.dynamic.Resource {
  declare readonly host: pulumi.Output<string>;
  declare readonly port: pulumi.Output<number>;

  constructor(name: string, port: pulumi.Input<number>) {
    const provider: pulumi.dynamic.ResourceProvider = {
      create: (inputs: { port: number }) => Promise.resolve({ id: "server", outs: { host: "127.0.0.1", ...inputs } }),
    };
    super(provider, name, { host: undefined, port });
  }
}

const server = new Server("target", config.requireNumber("targetPort"));

export const migration = new PgMigration("into-a-new-server", {
  source: {
    host: config.require("sourceHost"),
    port: config.requireNumber("sourcePort"),
    user: config.require("sourceUser"),
    // Not said to be a secret: the resource has to see to that.
    password: config.require("sourcePassword"),
  },
  target: {
    host: server.host,
    port: server.port,
    user: config.require("targetUser"),
    password: config.requireSecret("targetPassword"),
  },
  dbsToMigrate: config.requireObject<string[]>("dbsToMigrate"),
}).currentStatus;
