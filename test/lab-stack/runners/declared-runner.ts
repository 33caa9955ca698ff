import * as pulumi from "@pulumi/pulumi";
import { reveal } from "../azure-stand-in/provider";
import type { Properties } from "../azure-stand-in/properties";

export interface DeclaredResource {
  readonly type: string;
  readonly name: string;
  /** With the values of secrets. */
  readonly inputs: Properties;
  /** Top-level inputs that Pulumi stores encrypted. */
  readonly secrets: readonly string[];
}

/** The resources that a program declares, recorded by Pulumi's mocks. */
export async function declaredBy(program: () => unknown): Promise<DeclaredResource[]> {
  const declared: DeclaredResource[] = [];
  await pulumi.runtime.setMocks(
    {
      newResource: ({ type, name, inputs }) => {
        const given = inputs as Properties;
        const secrets = Object.keys(given).filter((key) => pulumi.runtime.isRpcSecret(given[key]));
        declared.push({ type, name, inputs: reveal(given) as Properties, secrets });
        const metadata = { ...((given.metadata as Properties | undefined) ?? {}) };
        metadata.name ??= `${name}-0a1b2c3d`;
        return {
          id: `/ids/${name}`,
          state: { ...given, metadata, name, customerId: "customer", principalId: "principal" },
        };
      },
      call: () => ({ token: "mocked-token", primarySharedKey: "workspace-key" }),
    },
    "runners",
    "dev",
  );
  program();
  await pulumi.runtime.disconnect();
  return declared;
}

/** The only resource whose type ends with this text. */
export function the(declared: readonly DeclaredResource[], type: string): DeclaredResource {
  const found = declared.filter((one) => one.type.endsWith(type));
  if (found.length !== 1) throw new Error(`expected one resource of type ${type}, found ${found.length}`);
  return found[0]!;
}
