import assert from "node:assert/strict";
import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { MigrationStatus } from "pulumi-pg-migration";
import { createAdventureWorks } from "../../../tools/adventureworks/create-adventureworks";
import type { Host, OperationResult } from "../../../tools/pulumi-host/host";
import { makeVpnCertificates } from "../../../lab-stack/vpn/vpn-certificates";
import type { RawLabConfig } from "../../../lab-stack/config/lab-schema";
import { EmbeddedServer } from "../../support/servers/embedded-server";
import { createHost, type HostName } from "../../support/pulumi-cli";
import { AzureServer } from "../azure-stand-in/azure-server";
import type { Image } from "../runners/pods";
import { writePlugins } from "../azure-stand-in/plugins";

export const database = "adventureworks";
/** AdventureWorks has 68 tables and two materialized views. */
export const relations = 70;
export const administratorPassword = "Given-Passw0rd-4711";

/** The lab's program, a source with AdventureWorks, and a stand-in for Azure as the place of deployment. */
export class DeployedLab {
  #stacks = 0;

  private constructor(
    readonly place: { readonly hostName: HostName; readonly directory: string },
    readonly azure: AzureServer,
    readonly source: EmbeddedServer,
    readonly options: { readonly plugins: Readonly<Record<string, string>>; readonly rootCertificate: string },
  ) {}

  static async start(hostName: HostName, images: Readonly<Record<string, Image>> = {}): Promise<DeployedLab> {
    const directory = await mkdtemp(join(tmpdir(), "lab-stack-"));
    const azure = await AzureServer.start({ withDatabases: true, images });
    const source = await EmbeddedServer.start({ major: 14, parameters: { wal_level: "logical", work_mem: "6MB" } });
    await source.query(`CREATE DATABASE ${database}`);
    await createAdventureWorks({ ...source.login, database }, { scale: 0.01 });
    const plugins = await writePlugins(join(directory, "plugins"), azure.providers);
    const { root } = await makeVpnCertificates([]);
    return new DeployedLab({ hostName, directory }, azure, source, { plugins, rootCertificate: root.certificate });
  }

  async close(): Promise<void> {
    await Promise.all([this.azure.close(), this.source.stop()]);
    await rm(this.place.directory, { recursive: true, force: true });
  }

  get #state(): string {
    return join(this.place.directory, String(this.#stacks));
  }

  /** Starts a new stack for the following deployments. */
  async beginStack(): Promise<void> {
    this.#stacks++;
    await mkdir(this.#state);
  }

  /** The default configuration of the migration, with changes. */
  migration(changes: Partial<NonNullable<RawLabConfig["migration"]>> = {}): NonNullable<RawLabConfig["migration"]> {
    return {
      source: { host: this.source.login.host, port: this.source.port, user: this.source.login.user },
      databases: [database],
      mode: "Online",
      targetBy: "address",
      targetSslMode: "Prefer",
      ...changes,
    };
  }

  deployment(changes: Partial<RawLabConfig> = {}): Host {
    const config: RawLabConfig = {
      resourceManager: this.azure.url,
      server: { administratorLogin: "pgadmin" },
      parameters: { isSource: true, fromSource: "apply" },
      vpn: { rootCertificate: this.options.rootCertificate },
      migration: this.migration(),
      ...changes,
    };
    const given = Object.entries(config).filter(([, value]) => value !== undefined);
    const texts = given.map(([key, value]) => [key, typeof value === "object" ? JSON.stringify(value) : String(value)]);
    return createHost(this.place.hostName, this.#state, {
      programDirectory: resolve("lab-stack"),
      stack: "dev",
      passphrase: "a passphrase for tests",
      config: Object.fromEntries(texts) as Record<string, string>,
      secretConfig: { sourcePassword: this.source.login.password, administratorPassword },
      providers: this.azure.providers,
      environment: this.options.plugins,
    });
  }

  /** Removes the worker and the servers of a failed test. */
  async cleanUp(): Promise<void> {
    if (this.azure.cloud.resources.size === 0) return;
    const remaining = this.deployment({ phase: "run", protectData: false, parameters: {} });
    await remaining.up();
    await remaining.destroy();
  }

  /** The stack's state in the format of its host. */
  stateText(): Promise<string> {
    const file = this.place.hostName === "embedded" ? "state.json" : ".pulumi/stacks/pg-migration-lab/dev.json";
    return readFile(join(this.#state, file), "utf8");
  }

  /** The types of the protected resources in the state, sorted. */
  async protectedTypes(): Promise<string[]> {
    interface Resources {
      readonly resources: readonly { readonly type: string; readonly protect?: boolean }[];
    }
    const state = JSON.parse(await this.stateText()) as Resources & { checkpoint?: { latest: Resources } };
    const { resources } = state.checkpoint?.latest ?? state;
    return resources
      .filter(({ protect }) => protect)
      .map(({ type }) => type)
      .sort();
  }
}

export const statusIn = (result: OperationResult): MigrationStatus =>
  result.outputs.migration as unknown as MigrationStatus;

export function succeeded(result: OperationResult): OperationResult {
  const errors = result.diagnostics.filter(({ severity }) => severity === "error");
  assert.equal(result.ok, true, JSON.stringify(errors, null, 1));
  return result;
}

/** The error messages of an operation that failed. */
export function failed(result: OperationResult): string {
  assert.equal(result.ok, false, "the operation did not fail");
  return result.diagnostics
    .filter(({ severity }) => severity === "error")
    .map(({ message }) => message)
    .join("\n");
}
