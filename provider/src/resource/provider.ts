import type { dynamic } from "@pulumi/pulumi";
import { messageOf } from "../errors.js";
import * as lifecycle from "./lifecycle.js";
import { printable } from "./printable.js";
import { openResourceRow, type ResourceRow } from "./resource-row.js";
import { urnWithin, type Properties } from "./state.js";

/** What the text in the state calls, by the names that stand in that text: they may never change. @hidden */
export const provider: Required<
  Pick<dynamic.ResourceProvider<Properties, Properties>, "check" | "diff" | "create" | "read" | "update" | "delete">
> = {
  check: (olds, news) => withoutStack(lifecycle.check(olds, news)),
  diff: (id, olds, news) => withoutStack(lifecycle.diff(id, olds, news)),
  create: (inputs) => withRow(inputs, (row) => createConfirmed(inputs, row)),
  read: (id, props) => withoutStack(lifecycle.read(id, props ?? {})),
  update: (id, olds, news) => withRow(news, ({ report, note }) => lifecycle.update(id, olds, news, report, note)),
  delete: (id, props) => withRow(props, ({ note }) => lifecycle.remove(id, props, note)),
};

/** Creates, and notes in the record that the state has it, also where the migration has not reached its goal. */
async function createConfirmed(inputs: Properties, row: ResourceRow): ReturnType<typeof lifecycle.create> {
  const confirm = async (outputs: Properties): Promise<void> => {
    // Not confirmed, the next creation adopts the record, which is right: Pulumi may have lost it.
    if (await row.isEngineAlive()) await lifecycle.confirmCreated(outputs).catch(() => undefined);
  };
  try {
    const created = await lifecycle.create(inputs, row.report, row.note);
    await confirm(created.outs);
    return created;
  } catch (error) {
    if (error instanceof lifecycle.MigrationIncompleteError) await confirm(error.properties);
    throw error;
  }
}

async function withRow<T>(inputs: Properties, run: (row: ResourceRow) => Promise<T>): Promise<T> {
  const row = openResourceRow(urnWithin(inputs) ?? "");
  try {
    return await withoutStack(run(row));
  } catch (error) {
    // The SDK adds its serialized provider to answers, not to errors; without it nothing could be read or deleted later.
    if (error instanceof lifecycle.MigrationIncompleteError) error.properties.__provider = inputs.__provider;
    throw error;
  } finally {
    row.close();
  }
}

/** The SDK prints an error's stack to the user. */
async function withoutStack<T>(operation: Promise<T>): Promise<T> {
  try {
    return await operation;
  } catch (error) {
    if (error instanceof Error) error.stack = error.message = printable(messageOf(error));
    throw error;
  }
}
