import { setTimeout as sleep } from "node:timers/promises";
import { runContainerAppsJob, runContainerGroup } from "../runners/engines";
import type { Image, PodEngine } from "../runners/pods";
import { RunningServer } from "./flexible-servers";
import { MigrationService } from "./migration-service";
import { at, list, type Properties, text } from "./properties";
import { AzureError, principalOf, recordName, checkResource, type StoredResource } from "./refusals";
import { fixedInputs, parentId, requiredInputs, resourceId, resourceTypes } from "./resource-types";

/** The duration of a change, so that concurrent changes overlap. */
const changeMs = 20;

/** Pulumi's placeholder for a value that is unknown in a preview. */
const unknownValue = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";

export interface Change {
  readonly method: "create" | "update" | "delete";
  readonly token: string;
  readonly id: string;
  readonly inputs: Properties;
}

export interface CloudOptions {
  readonly withDatabases: boolean;
  /** Images by name. Without them, container groups are stored and not run. */
  readonly images?: Readonly<Record<string, Image>>;
  /** Secrets of Key Vault by their URL. */
  readonly vault?: Readonly<Record<string, string>>;
}

/** A stand-in for Azure: stores resources, refuses invalid ones like Azure, and runs PostgreSQL for flexible servers. */
export class Cloud {
  readonly resources = new Map<string, StoredResource>();
  readonly servers = new Map<string, RunningServer>();
  readonly containers = new Map<string, PodEngine>();
  /** The execution of each Container Apps job. */
  readonly executions = new Map<string, PodEngine>();
  /** All successful changes, in order. */
  readonly changes: Change[] = [];
  readonly restarts: string[] = [];
  readonly #migrationService = new MigrationService();
  readonly #busy = new Set<string>();

  /** Without databases, the stand-in is faster and accepts every value of a parameter. */
  constructor(readonly options: CloudOptions) {}

  /** The only resource of a type. */
  the(token: string): StoredResource {
    const found = [...this.resources.values()].filter((resource) => resource.token === token);
    if (found.length !== 1) throw new Error(`expected one resource of type ${token}, found ${found.length}`);
    return found[0]!;
  }

  check(token: string, inputs: Properties): { property: string; reason: string }[] {
    if (!(token in resourceTypes)) return [{ property: "", reason: `the stand-in does not support ${token}` }];
    return requiredInputs(token)
      .filter((name) => at(inputs, name) === undefined)
      .map((property) => ({ property, reason: "is missing" }));
  }

  /** Compares inputs with a stored resource, and names the changed ones that require a replacement. */
  diff(token: string, id: string, inputs: Properties): { changes: boolean; replaces: string[] } {
    const old = this.resources.get(id)?.inputs ?? {};
    const keys = Object.keys({ ...old, ...inputs }).filter((key) => !key.startsWith("__"));
    const differs = (path: string) => JSON.stringify(at(old, path)) !== JSON.stringify(at(inputs, path));
    const replaces = fixedInputs(token).filter((path) => differs(path) && at(inputs, path) !== unknownValue);
    return { changes: keys.some(differs), replaces: replaces.map((path) => path.split(".")[0]!) };
  }

  create(token: string, inputs: Properties): Promise<{ id: string; outputs: Properties }> {
    const id = resourceId(token, inputs);
    return this.#change({ method: "create", token, id, inputs }, async () => {
      // A server has all its parameters, so creating one means setting it.
      if (this.resources.has(id) && token !== "dbforpostgresql:Configuration")
        throw new AzureError("Conflict", `${id} exists`);
      const parent = parentId(token, id);
      if (parent !== "" && !this.resources.has(parent))
        throw new AzureError("ParentResourceNotFound", `${parent} does not exist`);
      checkResource({ token, id, inputs }, this.resources);
      if (token === "dbforpostgresql:Server" && this.options.withDatabases)
        this.servers.set(id, await RunningServer.start(inputs));
      if (token === "containerinstance:ContainerGroup") this.#startContainer(id, inputs);
      return { id, outputs: await this.#put({ token, id, inputs }) };
    });
  }

  update(token: string, id: string, inputs: Properties): Promise<{ outputs: Properties }> {
    return this.#change({ method: "update", token, id, inputs }, async () => {
      checkResource({ token, id, inputs }, this.resources);
      if (token === "dbforpostgresql:Server") await this.servers.get(id)?.change(inputs);
      return { outputs: await this.#put({ token, id, inputs }) };
    });
  }

  /** Undefined if the resource does not exist. */
  async read(id: string): Promise<{ outputs: Properties; inputs: Properties } | undefined> {
    const found = this.resources.get(id);
    return found && { outputs: await this.#answer(found), inputs: found.inputs };
  }

  delete(token: string, id: string): Promise<void> {
    return this.#change({ method: "delete", token, id, inputs: {} }, async () => {
      const user = [...this.resources.values()].find(
        (other) => other.id !== id && !isDeletedWith(token, id, other) && uses(other, id),
      );
      if (user) throw new AzureError("InUse", `${id} is in use by ${user.id}`);
      if (token === "dbforpostgresql:Server") await this.servers.get(id)?.stop();
      await this.containers.get(id)?.delete();
      await this.executions.get(id)?.stop();
      this.containers.delete(id);
      if (token === "dbforpostgresql:Configuration")
        await this.servers.get(parentId(token, id))?.setParameter(id.split("/").at(-1)!, undefined);
      this.servers.delete(id);
      for (const other of [...this.resources.keys()]) {
        if (other === id || other.startsWith(`${id}/`)) this.resources.delete(other);
      }
    });
  }

  /** The A records of a private zone: one for each server, and one for each private endpoint. */
  records(zoneId: string): { name: string; properties: { aRecords: { ipv4Address: string }[] } }[] {
    const used = (path: string) =>
      [...this.resources.values()].filter(({ inputs }) => text(inputs, path) === zoneId).map(({ id }) => id);
    const servers = used("network.privateDnsZoneArmResourceId").map((id) => [recordName(id), id] as const);
    const endpoints = used("privateDnsZoneConfigs.0.privateDnsZoneId").map((id) => {
      const endpoint = this.resources.get(id.slice(0, id.indexOf("/privateDnsZoneGroups/")));
      const server = text(endpoint?.inputs, "privateLinkServiceConnections.0.privateLinkServiceId");
      return [server.split("/").at(-1)!, server] as const;
    });
    return [...servers, ...endpoints].map(([name, server]) => ({
      name,
      properties: { aRecords: [{ ipv4Address: this.servers.get(server)?.address ?? "10.0.1.4" }] },
    }));
  }

  /** The answer of Azure Resource Manager for a migration. */
  readMigration(id: string): Properties {
    const migration = this.resources.get(id);
    if (!migration) throw new AzureError("ResourceNotFound", `${id} does not exist`);
    return { id, properties: { currentStatus: this.#migrationService.nextStatus(migration) } };
  }

  async startJob(id: string): Promise<void> {
    const job = this.resources.get(id);
    if (!job) throw new AzureError("ResourceNotFound", `${id} does not exist`);
    await this.executions.get(id)?.stop();
    this.executions.set(id, runContainerAppsJob(job.inputs, this.options.vault ?? {}));
  }

  async restart(serverId: string): Promise<void> {
    this.restarts.push(serverId);
    await this.servers.get(serverId)?.restart();
  }

  async close(): Promise<void> {
    await Promise.all([...this.containers.values()].map((container) => container.delete()));
    await Promise.all([...this.executions.values()].map((execution) => execution.stop()));
    await Promise.all([...this.servers.values()].map((server) => server.stop()));
    this.servers.clear();
  }

  #startContainer(id: string, inputs: Properties): void {
    if (!this.options.images) return;
    const name = text(inputs, "containers.0.image");
    const image = this.options.images[name];
    if (!image) throw new AzureError("InaccessibleImage", `the image ${name} does not exist`);
    this.containers.set(id, runContainerGroup(inputs, image));
  }

  /** Like Azure, makes one change at a time to a server and its children, or to a network and its subnets. */
  async #change<Result>(change: Change, work: () => Promise<Result>): Promise<Result> {
    const owner = /^(.*\/(flexibleServers|virtualNetworks)\/[^/]+)/.exec(change.id)?.[1] ?? change.id;
    if (this.#busy.has(owner)) {
      const code = owner.includes("/flexibleServers/") ? "ServerIsBusy" : "AnotherOperationInProgress";
      throw new AzureError(code, `${owner} is being changed by another operation`);
    }
    this.#busy.add(owner);
    try {
      await sleep(changeMs);
      const result = await work();
      this.changes.push(change);
      return result;
    } finally {
      this.#busy.delete(owner);
    }
  }

  async #put(resource: StoredResource): Promise<Properties> {
    const outputs = await this.#answer(resource, true);
    this.resources.set(resource.id, resource);
    this.#migrationService.change(resource.id);
    return outputs;
  }

  /** The outputs of a resource: its inputs without secrets, and the properties that Azure adds. */
  async #answer({ token, id, inputs }: StoredResource, isNew = false): Promise<Properties> {
    const { writeOnly = [], namespace } = resourceTypes[token]!;
    const shown = Object.fromEntries(Object.entries(inputs).filter(([key]) => !writeOnly.includes(key)));
    const name = id.split("/").at(-1)!;
    const common = { ...shown, name, type: namespace, provisioningState: "Succeeded" };
    switch (token) {
      case "dbforpostgresql:Server":
        return { ...common, fullyQualifiedDomainName: `${name}.postgres.database.azure.com`, state: "Ready" };
      case "dbforpostgresql:Configuration":
        return { ...common, ...(await this.#parameter(id, name, inputs, isNew)) };
      case "dbforpostgresql:Migration":
        return { ...common, currentStatus: { state: "InProgress" } };
      case "network:PublicIPAddress":
        return { ...common, ipAddress: "203.0.113.10" };
      case "managedidentity:UserAssignedIdentity":
        return { ...common, principalId: principalOf(id), clientId: principalOf(`${id}/client`) };
      case "containerinstance:ContainerGroup":
        return { ...common, volumes: list(inputs, "volumes").map(withoutFiles) };
      case "app:Job":
      case "app:ContainerApp":
        return { ...common, configuration: withoutSecretValues(at(inputs, "configuration") as Properties) };
      default:
        return common;
    }
  }

  async #parameter(id: string, name: string, inputs: Properties, isNew: boolean): Promise<Properties> {
    const server = this.servers.get(id.slice(0, id.indexOf("/configurations/")));
    if (!server) return { isDynamicConfig: !/^(wal_level|max_|shared_preload)/.test(name) };
    if (!isNew) return { isDynamicConfig: await server.isDynamic(name) };
    await server.setParameter(name, text(inputs, "value"));
    return { isDynamicConfig: await server.isDynamic(name) };
  }
}

/** Deleting a server deletes its children. Subnets and links of a zone must be deleted first. */
const isDeletedWith = (token: string, id: string, user: StoredResource): boolean =>
  token === "dbforpostgresql:Server" && user.id.startsWith(`${id}/`);

const uses = (user: StoredResource, id: string): boolean =>
  user.id.startsWith(`${id}/`) || JSON.stringify(user.inputs).includes(`"${id}"`);

/** Azure returns the names and references of secrets. Only listSecrets returns values. */
const withoutSecretValues = (configuration: Properties): Properties => ({
  ...configuration,
  secrets: list(configuration, "secrets").map((secret) => ({ ...(secret as Properties), value: undefined })),
});

/** Azure returns no content of a secret volume. */
const withoutFiles = (volume: unknown): unknown => ({ ...(volume as Properties), secret: {} });
