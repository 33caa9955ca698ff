import { randomBytes } from "node:crypto";
import * as pulumi from "@pulumi/pulumi";

/** In the place of the package random's provider, for its RandomPassword. */
const provider: pulumi.provider.Provider = {
  diff: async () => Promise.resolve({ changes: false }),
  create: async (_urn, inputs: Record<string, unknown>) =>
    Promise.resolve({ id: "none", outs: { ...inputs, result: `Aa1${randomBytes(15).toString("hex")}` } }),
};

void pulumi.provider.main(provider, process.argv.slice(2));
