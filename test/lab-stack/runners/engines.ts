import { readFileSync } from "node:fs";
import { at, list, type Properties, text } from "../azure-stand-in/properties";
import { type DeclaredResource, the } from "./declared-runner";
import { type Engine, type Image, PodEngine, type PodTemplate } from "./pods";

const pairs = (items: readonly unknown[]): Record<string, string> =>
  Object.fromEntries(items.map((item) => [text(item, "name"), text(item, "value")]));

type Contents = Readonly<Record<string, string>>;

/** Runs the Job or the StatefulSet that a KubernetesRunner declares. `secrets` are those that exist in the namespace. */
export function runInKubernetes(
  declared: readonly DeclaredResource[],
  secrets: Readonly<Record<string, Contents>>,
): PodEngine {
  const workload = declared.find(({ type }) => /:(Job|StatefulSet)$/.test(type))!;
  const spec = at(workload.inputs, "spec") as Properties;
  const pod = at(spec, "template.spec") as Properties;
  const own = the(declared, ":Secret").inputs.stringData as Contents;
  const files = list(pod, "volumes.0.projected.sources").flatMap((source, index) => {
    const content = index === 0 ? own : secrets[text(source, "secret.name")];
    return list(source, "secret.items").map((item): [string, string] => {
      const value = content?.[text(item, "key")];
      if (value === undefined) throw new Error(`MountVolume.SetUp failed: no key ${text(item, "key")}`);
      return [`${text(pod, "containers.0.volumeMounts.0.mountPath")}/${text(item, "path")}`, value];
    });
  });
  const template: PodTemplate = {
    args: list(pod, "containers.0.args").map(String),
    environment: pairs(list(pod, "containers.0.env")),
    files: Object.fromEntries(files),
  };
  if (workload.type.endsWith(":StatefulSet"))
    return new PodEngine({ template, replicas: Number(spec.replicas), retries: Infinity, after: () => "replace" });
  return new PodEngine({
    template,
    replicas: Number(spec.completions),
    retries: Number(spec.backoffLimitPerIndex),
    after: afterPod(list(spec, "podFailurePolicy.rules")),
  });
}

/** The first matching rule of a pod failure policy decides. */
const afterPod =
  (rules: readonly unknown[]): Engine["after"] =>
  (code, isEvicted) => {
    if (code === 0) return "complete";
    const rule = rules.find((one) =>
      at(one, "onExitCodes") === undefined
        ? isEvicted && text(one, "onPodConditions.0.type") === "DisruptionTarget"
        : list(one, "onExitCodes.values").includes(code),
    );
    const action = text(rule, "action");
    if (action === "Ignore") return "replace";
    return action === "FailJob" ? "fail" : "count";
  };

/** Starts one execution of a Container Apps job. `vault` has the secrets by their URL. */
export function runContainerAppsJob({ configuration, template, identity }: Properties, vault: Contents): PodEngine {
  const values = new Map(
    list(configuration, "secrets").map((secret): [string, string] => {
      const url = text(secret, "keyVaultUrl");
      if (url === "") return [text(secret, "name"), text(secret, "value")];
      if (!list(identity, "userAssignedIdentities").includes(text(secret, "identity")) || vault[url] === undefined)
        throw new Error(`Unable to get value using Managed identity for secret ${text(secret, "name")}`);
      return [text(secret, "name"), vault[url]];
    }),
  );
  const folder = text(template, "containers.0.volumeMounts.0.mountPath");
  const files = list(template, "volumes.0.secrets").map((one): [string, string] => [
    `${folder}/${text(one, "path")}`,
    values.get(text(one, "secretRef"))!,
  ]);
  return new PodEngine({
    template: {
      args: list(template, "containers.0.args").map(String),
      environment: pairs(list(template, "containers.0.env")),
      files: Object.fromEntries(files),
    },
    replicas: Number(at(configuration, "manualTriggerConfig.parallelism")),
    retries: Number(at(configuration, "replicaRetryLimit")),
    after: (code) => (code === 0 ? "complete" : "count"),
  });
}

/** The entry point that the Dockerfile gives to the image. */
const entrypoint = JSON.parse(/^ENTRYPOINT (.*)$/m.exec(readFileSync("Dockerfile", "utf8"))![1]!) as string[];

/** Runs the only container of a container group. Its command replaces the image's entry point. */
export function runContainerGroup(inputs: Properties, image?: Image): PodEngine {
  const command = list(inputs, "containers.0.command").map(String);
  const [begin, args] = [command.slice(0, entrypoint.length), command.slice(entrypoint.length)];
  if (begin.join(" ") !== entrypoint.join(" "))
    throw new Error(`exec failed: ${command[0] ?? "no command"}: the image has only ${entrypoint.join(" ")}`);
  const isMounted = text(inputs, "containers.0.volumeMounts.0.name") === text(inputs, "volumes.0.name");
  const files = Object.entries((at(inputs, "volumes.0.secret") ?? {}) as Contents).map(([name, content]) => {
    if (!/^[A-Za-z0-9+/]*={0,2}$/.test(content)) throw new Error(`InvalidSecretVolume: ${name} is not in base64`);
    const path = `${text(inputs, "containers.0.volumeMounts.0.mountPath")}/${name}`;
    return [path, Buffer.from(content, "base64").toString()] as const;
  });
  return new PodEngine({
    template: {
      ...{ image, args },
      environment: pairs(list(inputs, "containers.0.environmentVariables")),
      files: isMounted ? Object.fromEntries(files) : {},
    },
    replicas: 1,
    retries: Infinity,
    after: (code) => (code === 0 && text(inputs, "restartPolicy") === "OnFailure" ? "complete" : "replace"),
  });
}
