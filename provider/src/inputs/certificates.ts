import { messageOf, type InputFailure } from "../errors.js";
import { certificates } from "../postgres/connection/connect.js";
import type { Inputs } from "./inputs.js";

/**
 * `sslRootCert` that this machine cannot read. Not part of the schema: a file that is gone later must not make the inputs
 * in the state invalid. A worker elsewhere reads the source's certificate there.
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
