import type { PropertyMap } from "./protocol/property-value";

/** What an operation did to one resource, in the words of the Pulumi CLI. */
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
  /** The resource it is about; without one it is about the program. */
  readonly urn?: string;
}

/** How many resources each kind of change befell; a replacement counts once. */
export interface Summary {
  readonly create: number;
  readonly update: number;
  readonly replace: number;
  readonly delete: number;
  readonly same: number;
}

export interface OperationResult {
  /** False when a resource, the program or the operation itself failed; `diagnostics` then say why. */
  readonly ok: boolean;
  readonly summary: Summary;
  /** The stack's outputs, secret ones as `[secret]`. */
  readonly outputs: PropertyMap;
  readonly diagnostics: readonly Diagnostic[];
  /** Every step in the order in which it ended. */
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
  /** Asks the running operation to end; the step under way is finished first. */
  cancel(): Promise<void>;
  /** Ends the running operation at once, the step under way included. */
  terminate(): void;
}

/** What a host needs to know of a program and its stack. */
export interface HostOptions {
  /** The folder of Pulumi.yaml. */
  readonly programDirectory: string;
  readonly stack: string;
  /** Configuration beside that of Pulumi.<stack>.yaml, over which it wins. A key without `:` is the project's. */
  readonly config?: Readonly<Record<string, string>>;
  readonly secretConfig?: Readonly<Record<string, string>>;
  /** Encrypts the stack's secrets; otherwise PULUMI_CONFIG_PASSPHRASE(_FILE), otherwise a generated one. */
  readonly passphrase?: string;
  /** Environment for the program and its providers, beside this process's own. */
  readonly environment?: Readonly<Record<string, string>>;
  readonly onEvent?: (event: HostEvent) => void;
}
