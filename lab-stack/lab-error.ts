import * as pulumi from "@pulumi/pulumi";

/** An error that the user can correct. The message is complete, and Pulumi shows it without a stack. */
export abstract class LabError extends pulumi.RunError {
  constructor(message: string, options?: { readonly cause: unknown }) {
    super(message);
    this.name = new.target.name;
    this.cause = options?.cause;
    // Pulumi formats the stack even though it does not show it. With paths such as node_modules/@scope/file, which
    // Pulumi's source maps contain, Node 20 needs half a minute for that.
    this.stack = `${this.name}: ${message}`;
  }
}
