import type { dynamic } from "@pulumi/pulumi";
import { messageOf } from "../errors.js";
import { type Attempts, createWithRetries, updateWithRetries } from "./attempts.js";
import * as lifecycle from "./lifecycle.js";
import { printable } from "./printable.js";
import { openResourceRow, type ResourceRow } from "./resource-row.js";
import { type Properties, urnWithin, wasNeverRecorded } from "./state.js";

/** Called by the provider text in the state, by these names, which may never change. @hidden */
export const provider: Required<
  Pick<dynamic.ResourceProvider<Properties, Properties>, "check" | "diff" | "create" | "read" | "update" | "delete">
> = {
  check: (olds, news) => withRow(news, ({ note }) => lifecycle.check(olds, news, note)),
  diff: (id, olds, news) => withRow(news, ({ note }) => lifecycle.diff(id, olds, news, note)),
  create: (inputs) => withRow(inputs, (row) => confirmed(createWithRetries(inputs, attemptsIn(row, false)), row)),
  read: (id, props) => withoutStack(lifecycle.read(id, props ?? {})),
  update: (_id, olds, news) =>
    withRow(news, (row) => {
      const isInState = !wasNeverRecorded(olds);
      const updated = updateWithRetries(olds, news, attemptsIn(row, isInState));
      return isInState ? updated : confirmed(updated, row);
    }),
  delete: (_id, props) => withRow(props, ({ note }) => lifecycle.remove(props, note)),
};

/** @param isInState whether Pulumi's state contains the ownership token of the record */
const attemptsIn = (row: ResourceRow, isInState: boolean): Attempts => ({
  create: (inputs) => lifecycle.create(inputs, row.report, row.note),
  update: (olds, news) => {
    if (wasNeverRecorded(olds)) return lifecycle.create(news, row.report, row.note);
    return (isInState ? lifecycle.update : lifecycle.createAgain)(olds, news, row.report, row.note);
  },
  note: row.note,
});

/**
 * Records that the state contains a created resource, also if the migration has not reached its goal. Not after each attempt:
 * Pulumi gets the outputs after the last one.
 */
async function confirmed<Result extends { readonly outs: Properties }>(
  creation: Promise<Result>,
  row: ResourceRow,
): Promise<Result> {
  const confirm = async (outputs: Properties): Promise<void> => {
    // If the engine has ended, Pulumi may have lost the outputs. Then the next creation adopts the record.
    if (await row.isEngineAlive()) await lifecycle.confirmCreated(outputs).catch(() => undefined);
  };
  try {
    const created = await creation;
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
    // The SDK adds its serialized provider to results, but not to errors; without it Pulumi could not read or delete
    // the resource later.
    if (error instanceof lifecycle.MigrationIncompleteError) error.properties.__provider = inputs.__provider;
    throw error;
  } finally {
    row.close();
  }
}

/** The SDK prints the stack of an error to the user. */
async function withoutStack<T>(operation: Promise<T>): Promise<T> {
  try {
    return await operation;
  } catch (error) {
    if (error instanceof Error) error.stack = error.message = printable(messageOf(error));
    throw error;
  }
}
