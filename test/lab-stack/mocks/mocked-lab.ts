import { setTimeout as sleep } from "node:timers/promises";
import * as pulumi from "@pulumi/pulumi";
import { readExistingServer } from "../../../lab-stack/server/existing-server";
import { declareLab, type Lab } from "../../../lab-stack/lab";
import { parseLabConfig } from "../../../lab-stack/config/lab-config";
import type { LabConfig } from "../../../lab-stack/config/lab-schema";
import { at, type Properties } from "../azure-stand-in/properties";

export interface Declared {
  readonly type: string;
  readonly name: string;
  readonly inputs: Properties;
}

/** The resources that a lab declares, recorded by Pulumi's mocks. */
export class MockedLab {
  readonly declared: Declared[] = [];
  readonly #created = new Map<string, { now: number; most: number }>();

  private constructor(
    readonly config: LabConfig,
    private declaredLab?: Lab,
  ) {}

  get lab(): Lab {
    if (!this.declaredLab) throw new Error("the lab was not declared");
    return this.declaredLab;
  }

  /** @param secrets the stack's secret configuration */
  static async declare(raw: unknown, secrets: Readonly<Record<string, string>> = {}): Promise<MockedLab> {
    const values = Object.fromEntries(Object.entries(secrets).map(([key, value]) => [`lab:${key}`, value]));
    pulumi.runtime.setAllConfig(values, Object.keys(values));
    const mocked = new MockedLab(parseLabConfig(raw, "dev"));
    const newResource = (resource: Declared) => mocked.#register(resource);
    await pulumi.runtime.setMocks({ newResource, call: () => ({ token: "mocked-token" }) }, "lab", "dev");
    const existing = await readExistingServer(mocked.config);
    mocked.declaredLab = declareLab(mocked.config, { fromSource: {}, existing });
    await pulumi.runtime.disconnect();
    return mocked;
  }

  /** The only resource of a type. */
  the(type: string): Properties {
    const found = this.all(type);
    if (found.length !== 1) throw new Error(`expected one resource of type ${type}, found ${found.length}`);
    return found[0]!;
  }

  all(type: string): Properties[] {
    return this.declared.filter((one) => one.type === `azure-native:${type}`).map(({ inputs }) => inputs);
  }

  /** The highest number of resources of a type that were created at the same time. */
  mostAtOnce(type: string): number {
    return this.#created.get(`azure-native:${type}`)?.most ?? 0;
  }

  has(type: string): boolean {
    return this.all(type).length > 0;
  }

  async #register({ type, name, inputs }: Declared): Promise<{ id: string; state: Properties }> {
    const declared = { type, name, inputs };
    this.declared.push(declared);
    await this.#whileCreating(type);
    return { id: `/ids/${name}`, state: { ...inputs, ...answerTo(declared) } };
  }

  async #whileCreating(type: string): Promise<void> {
    const count = this.#created.get(type) ?? { now: 0, most: 0 };
    this.#created.set(type, count);
    count.now++;
    count.most = Math.max(count.most, count.now);
    await sleep(5);
    count.now--;
  }
}

function answerTo({ type, inputs }: Declared): Properties {
  const names = ["serverName", "virtualNetworkName", "privateZoneName", "resourceGroupName", "configurationName"];
  const own = type.endsWith(":Configuration")
    ? "configurationName"
    : names.find((name) => at(inputs, name) !== undefined);
  return {
    name: own === undefined ? "" : at(inputs, own),
    ...(type.endsWith(":Server") && { fullyQualifiedDomainName: "psql.postgres.database.azure.com" }),
    ...(type.endsWith(":Configuration") && { isDynamicConfig: at(inputs, "configurationName") !== "wal_level" }),
    ...(type.endsWith(":RandomPassword") && { result: "Generated1" }),
    ...(type.endsWith(":PublicIPAddress") && { ipAddress: "203.0.113.10" }),
    ...(type.endsWith(":UserAssignedIdentity") && { principalId: "a principal" }),
    ...(type.endsWith(":ResourceGroup") && { name: inputs.resourceGroupName }),
  };
}

/** The value of an output. */
export const valueOf = <T>(output: pulumi.Output<T>): Promise<T> =>
  new Promise((resolve) => void output.apply((value) => resolve(value)));
