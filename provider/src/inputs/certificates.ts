import { messageOf, type InputFailure } from "../errors.js";
import { certificates } from "../postgres/connection/connect.js";
import type { Inputs } from "./inputs.js";

/**
 * Reports an `sslRootCert` that this machine cannot read. Not part of the schema, because inputs in the state must stay
 * valid if the file is deleted later. With a runner, the source's certificate is read on the worker's machine instead.
 */
export function certificateFailures({ source, target, runner }: Inputs): InputFailure[] {
  const sides = [...(runner === "local" ? [["source", source] as const] : []), ["target", target] as const];
  return sides.flatMap(([side, { sslMode, sslRootCert }]) => {
    if (sslRootCert === undefined || sslMode === "Disable") return [];
    try {
      certificates(sslRootCert);
      return [];
    } catch (error) {
      return [{ property: `${side}.sslRootCert`, reason: messageOf(error) }];
    }
  });
}
