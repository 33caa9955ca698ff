import type { Signer } from "@aws-sdk/rds-signer";
import type { Endpoint } from "../connection/endpoint.js";
import type { RdsIamAuthentication } from "./authentication.js";
import { optionalPackage } from "./optional-package.js";
import type { Token } from "./renewed-token.js";

/**
 * Signs with AWS credentials. The signature is valid for one role of one server. Each connection gets its own, because
 * signing needs no request, and a kept signature could outlive temporary credentials. @throws what the AWS SDK throws
 */
export function rdsToken(
  { region, profile }: RdsIamAuthentication,
  { host, port, user }: Pick<Endpoint, "host" | "port" | "user">,
): () => Promise<Token> {
  let signer: Promise<Signer> | undefined;
  const open = async (): Promise<Signer> => {
    const { Signer } = await optionalPackage("@aws-sdk/rds-signer", () => import("@aws-sdk/rds-signer"));
    const regionOfHost = region ?? regionIn(host);
    return new Signer({
      ...{ hostname: host, port, username: user },
      ...(regionOfHost === undefined ? {} : { region: regionOfHost }),
      ...(profile === undefined ? {} : { profile }),
    });
  };
  return async () => ({ text: await (await (signer ??= open())).getAuthToken(), expiresAt: Date.now() });
}

/** @example regionIn("crm.c1abcdefghij.eu-west-1.rds.amazonaws.com") === "eu-west-1" */
const regionIn = (host: string): string | undefined => /\.([a-z0-9-]+)\.rds\.amazonaws\.com(?:\.cn)?$/i.exec(host)?.[1];
