import type * as kubernetes from "@pulumi/kubernetes/types";
import type * as pulumi from "@pulumi/pulumi";
import { referencedFiles, type References } from "./runner-args.js";
import { httpPort, secretFiles, secretsFolder, type WorkerStart } from "./worker-files.js";

/** A key of a Secret in the namespace of the workers. */
export interface SecretKey {
  readonly name: string;
  readonly key: string;
}

export interface PodOptions {
  readonly image: string;
  readonly cpu: number;
  readonly memoryGb: number;
  readonly start: WorkerStart;
  /** Name of the Secret with the files of `start`. */
  readonly jobSecret: pulumi.Input<string>;
  readonly passwordSecrets: References<SecretKey | undefined>;
  readonly imagePullSecret?: string | undefined;
  readonly serviceAccountName?: string | undefined;
  readonly nodeSelector?: Readonly<Record<string, string>> | undefined;
  readonly tolerations?: readonly kubernetes.input.core.v1.Toleration[] | undefined;
}

/** The user of the image. */
const imageUser = 65532;

export const containerName = "worker";

/** A pod that meets the "restricted" Pod Security Standard. The worker writes no file, so no volume is writable. */
export function podSpec(options: PodOptions): kubernetes.input.core.v1.PodSpec {
  const { image, cpu, memoryGb, start, imagePullSecret, serviceAccountName, nodeSelector, tolerations } = options;
  const memory = `${memoryGb}Gi`;
  return {
    // The worker never calls the API of Kubernetes.
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    // A stopped worker needs seconds. The rest is for a server that answers slowly.
    terminationGracePeriodSeconds: 60,
    securityContext: {
      runAsNonRoot: true,
      runAsUser: imageUser,
      runAsGroup: imageUser,
      fsGroup: imageUser,
      seccompProfile: { type: "RuntimeDefault" },
    },
    containers: [
      {
        name: containerName,
        image,
        args: start.args,
        env: Object.entries(start.environment).map(([name, value]) => ({ name, value })),
        ports: [{ name: "http", containerPort: httpPort }],
        resources: { requests: { cpu: String(cpu), memory }, limits: { memory } },
        securityContext: {
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ["ALL"] },
        },
        livenessProbe: probe("/healthz"),
        readinessProbe: probe("/readyz"),
        volumeMounts: [{ name: "secrets", mountPath: secretsFolder, readOnly: true }],
      },
    ],
    volumes: [{ name: "secrets", projected: { defaultMode: 0o440, sources: secretSources(options) } }],
    ...(imagePullSecret !== undefined && { imagePullSecrets: [{ name: imagePullSecret }] }),
    ...(serviceAccountName !== undefined && { serviceAccountName }),
    ...(nodeSelector && { nodeSelector: { ...nodeSelector } }),
    ...(tolerations && { tolerations: [...tolerations] }),
  };
}

const probe = (path: string): kubernetes.input.core.v1.Probe => ({
  httpGet: { path, port: "http" },
  periodSeconds: 10,
  timeoutSeconds: 6,
  failureThreshold: 6,
});

function secretSources({ start, jobSecret, passwordSecrets }: PodOptions): kubernetes.input.core.v1.VolumeProjection[] {
  const own = Object.keys(start.files).map((file) => secretFiles[file as keyof typeof secretFiles]);
  const passwords = referencedFiles.flatMap((file) => {
    const secret = passwordSecrets[file];
    return secret ? [{ secret: { name: secret.name, items: [{ key: secret.key, path: secretFiles[file] }] } }] : [];
  });
  return [{ secret: { name: jobSecret, items: own.map((file) => ({ key: file, path: file })) } }, ...passwords];
}
