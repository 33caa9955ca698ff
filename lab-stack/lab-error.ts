import * as pulumi from "@pulumi/pulumi";

/** Something that the user can put right: the message says all, and Pulumi shows it without a stack. */
export abstract class LabError extends pulumi.RunError {
  constructor(message: string, options?: { readonly cause: unknown }) {
    super(message);
    this.name = new.target.name;
    this.cause = options?.cause;
    // Pulumi colours the stack all the same, over which Node 20 loses half a minute where a path ends in
    // node_modules/@scope/file, as the paths of Pulumi's own source maps do.
    this.stack = `${this.name}: ${message}`;
  }
}
