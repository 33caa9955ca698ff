import type { PropertyMap } from "./protocol/property-value";

/** The change of one resource, in the terms of the Pulumi CLI. */
export type StepKind =
  "same" | "create" | "update" | "delete" | "replace" | "create-replacement" | "delete-replaced" | "read" | "refresh";

export interface Step {
  readonly op: StepKind;
  readonly urn: string;
}

export type Severity = "debug" | "info" | "warning" | "error";

export interface Diagnostic {
  readonly severity: Severity;
  readonly message: string;
  /** The resource. Undefined for a diagnostic of the program. */
  readonly urn?: string;
}

/** The number of resources by kind of change. A replacement counts once. */
export interface Summary {
  readonly create: number;
  readonly update: number;
  readonly replace: number;
  readonly delete: number;
  readonly same: number;
}

export interface OperationResult {
  /** False if a resource, the program or the operation failed. `diagnostics` contains the reason. */
  readonly ok: boolean;
  readonly summary: Summary;
  /** The stack's outputs. Secrets are `[secret]`. */
  readonly outputs: PropertyMap;
  readonly diagnostics: readonly Diagnostic[];
  /** All steps, in the order in which they ended. */
  readonly operations: readonly Step[];
}

export type HostEvent =
  | { readonly kind: "step-started"; readonly op: StepKind; readonly urn: string }
  | { readonly kind: "step-finished"; readonly op: StepKind; readonly urn: string }
  | { readonly kind: "step-failed"; readonly op: StepKind; readonly urn: string }
  | { readonly kind: "status"; readonly urn: string; readonly message: string }
  | ({ readonly kind: "diagnostic" } & Diagnostic);

export interface UpOptions {
  /** Refresh the state first. */
  readonly refresh?: boolean;
}

export interface OutputOptions {
  readonly showSecrets?: boolean;
}

/** Runs a Pulumi program: embedded in this process, or by the Pulumi CLI. */
export interface Host {
  readonly name: "embedded" | "cli";
  preview(): Promise<OperationResult>;
  up(options?: UpOptions): Promise<OperationResult>;
  refresh(): Promise<OperationResult>;
  destroy(): Promise<OperationResult>;
  outputs(options?: OutputOptions): Promise<PropertyMap>;
  /** Ends the running operation after its running step. */
  cancel(): Promise<void>;
  /** Ends the running operation and its running step at once. */
  terminate(): void;
}

/** The program, its stack and its environment. */
export interface HostOptions {
  /** The folder of Pulumi.yaml. */
  readonly programDirectory: string;
  readonly stack: string;
  /** Configuration that overrides Pulumi.<stack>.yaml. A key without `:` is in the project's namespace. */
  readonly config?: Readonly<Record<string, string>>;
  readonly secretConfig?: Readonly<Record<string, string>>;
  /** Encrypts the stack's secrets; otherwise PULUMI_CONFIG_PASSPHRASE(_FILE), otherwise a generated one. */
  readonly passphrase?: string;
  /** Variables for the program and its providers, in addition to the environment of this process. */
  readonly environment?: Readonly<Record<string, string>>;
  readonly onEvent?: (event: HostEvent) => void;
}
