import { isIP } from "node:net";
import { InvalidArgumentError } from "commander";
import type { ListenAddress } from "../worker/worker-endpoints.js";

/**
 * Parses an address to listen on. Without an address, other machines cannot connect.
 *
 * @example listenAddress("0.0.0.0:8080"); listenAddress("[::]:8080"); listenAddress("8080") // 127.0.0.1
 */
export function listenAddress(text: string): ListenAddress {
  const [, bracketed, plain, digits] = /^(?:(?:\[([^\]]+)\]|([^:[\]]+)):)?(\d{1,5})$/.exec(text) ?? [];
  const host = bracketed ?? plain ?? "127.0.0.1";
  const isAddress = bracketed === undefined ? isIP(host) === 4 || host === "localhost" : isIP(host) === 6;
  if (digits === undefined || Number(digits) > 65535 || !isAddress)
    throw new InvalidArgumentError("expected a port, or an address and a port: 8080, 0.0.0.0:8080, [::]:8080");
  return { host, port: Number(digits) };
}
