import assert from "node:assert/strict";
import * as lifecycle from "../../provider/dist/resource/lifecycle.js";
import type { MigrationStatus } from "../../provider/dist/status.js";

type Properties = Record<string, unknown>;

/** Acts as Pulumi's engine for one resource: it checks before create and update, and keeps the state between calls. */
export class Resource {
  id = "";
  outputs: Properties = {};
  inputs: Properties = {};
  readonly reported: string[] = [];
  /** Notes to the user about records that existed, were lost, or belong to another resource. */
  readonly notes: string[] = [];

  /** @param urn the resource's URN; without one it acts as the command does */
  constructor(readonly urn?: string) {}

  get status(): MigrationStatus {
    return this.outputs.currentStatus as MigrationStatus;
  }

  async create(inputs: Properties): Promise<MigrationStatus> {
    this.inputs = await this.checked(inputs);
    await this.#keep(lifecycle.create(this.inputs, this.#report, this.#note));
    return this.status;
  }

  async update(changes: Properties): Promise<MigrationStatus> {
    this.inputs = await this.#checked(this.inputs, { ...this.#declared, ...changes });
    await this.#keep(lifecycle.update(this.outputs, this.inputs, this.#report, this.#note));
    return this.status;
  }

  async diff(changes: Properties = {}): Promise<lifecycle.DiffAnswer> {
    const inputs = await this.#checked(this.inputs, { ...this.#declared, ...changes });
    return lifecycle.diff(this.id, this.outputs, inputs, this.#note);
  }

  /** The inputs as the program has them: patterns instead of the databases that they select. */
  get #declared(): Properties {
    const { dbsToMigratePatterns, ...inputs } = this.inputs;
    return dbsToMigratePatterns === undefined ? inputs : { ...inputs, dbsToMigrate: dbsToMigratePatterns };
  }

  async refresh(): Promise<MigrationStatus> {
    const { id, props } = await lifecycle.read(this.id, this.outputs);
    this.id = id;
    this.outputs = props;
    return this.status;
  }

  /** Refreshes, and returns what the worker reports of a database. */
  async messageOf(database: string): Promise<string> {
    return (await this.refresh()).currentSubStateDetails.dbDetails[database]!.message ?? "";
  }

  destroy(): Promise<void> {
    return lifecycle.remove(this.outputs, this.#note);
  }

  /** Fails unless the operation fails. Returns the text that the user sees. */
  static async failure(operation: Promise<unknown>): Promise<string> {
    try {
      await operation;
    } catch (error) {
      assert(error instanceof Error);
      return error.message;
    }
    throw new assert.AssertionError({ message: "the operation succeeded, but had to fail" });
  }

  /** Failures of `check` for new inputs, as `property: reason`. */
  async failures(inputs: Properties): Promise<string[]> {
    const { failures } = await lifecycle.check(this.inputs, inputs, this.#note);
    return failures.map(({ property, reason }) => `${property}: ${reason}`);
  }

  readonly #report = (line: string): void => void this.reported.push(line);
  readonly #note = (line: string): void => void this.notes.push(line);

  /** The inputs that Pulumi passes to create. */
  checked(inputs: Properties): Promise<Properties> {
    return this.#checked({}, this.urn === undefined ? inputs : { ...inputs, resourceUrn: this.urn });
  }

  async #checked(olds: Properties, news: Properties): Promise<Properties> {
    const { inputs, failures } = await lifecycle.check(olds, news, this.#note);
    if (failures.length > 0)
      throw new Error(failures.map(({ property, reason }) => `${property}: ${reason}`).join("\n"));
    return inputs;
  }

  async #keep(operation: Promise<{ id?: string; outs: Properties }>): Promise<void> {
    try {
      const { id, outs } = await operation;
      this.id = id ?? this.id;
      this.outputs = outs;
      if (id !== undefined) await lifecycle.confirmCreated(outs);
    } catch (error) {
      if (error instanceof lifecycle.MigrationIncompleteError) {
        this.id = error.id;
        this.outputs = error.properties;
        await lifecycle.confirmCreated(error.properties);
      }
      throw error;
    }
  }
}
