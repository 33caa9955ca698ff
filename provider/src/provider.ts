import type { dynamic } from "@pulumi/pulumi";
import * as lifecycle from "./lifecycle.js";
import { openResourceRow } from "./resource-row.js";

type Properties = Record<string, unknown>;

/** What the text in the state calls, by the names that stand in that text: they may never change. @hidden */
export const provider: Required<
  Pick<dynamic.ResourceProvider<Properties, Properties>, "check" | "diff" | "create" | "read" | "update" | "delete">
> = {
  check: (olds, news) => lifecycle.check(olds, news),
  diff: (id, olds, news) => lifecycle.diff(id, olds, news),
  create: (inputs) => withRow(inputs, (report) => lifecycle.create(inputs, report)),
  read: async (id, props) => lifecycle.read(id, props ?? {}),
  update: (id, olds, news) => withRow(news, (report) => lifecycle.update(id, olds, news, report)),
  delete: (id, props) => lifecycle.remove(id, props),
};

async function withRow<T>(inputs: Properties, run: (report: (line: string) => void) => Promise<T>): Promise<T> {
  const row = openResourceRow(typeof inputs.resourceUrn === "string" ? inputs.resourceUrn : "");
  try {
    return await run(row.report);
  } catch (error) {
    // The SDK adds its serialized provider to answers, not to errors; without it nothing could be read or deleted later.
    if (error instanceof lifecycle.MigrationIncomplete) error.properties.__provider = inputs.__provider;
    throw error;
  } finally {
    row.close();
  }
}
