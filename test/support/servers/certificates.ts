import { webcrypto } from "node:crypto";
import "reflect-metadata";
import * as x509 from "@peculiar/x509";

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };

export interface ServerCertificate {
  /** PEM of the authority that signed the certificate. */
  readonly authority: string;
  readonly certificate: string;
  readonly privateKey: string;
}

const dayMs = 86_400_000;

/** Creates an authority, and a certificate for a host that it signed. Both are valid for a day. */
export async function certificateFor(host: string, { hasExpired = false } = {}): Promise<ServerCertificate> {
  const validity = { notBefore: new Date(Date.now() - dayMs), notAfter: new Date(Date.now() + dayMs) };
  const authorityKeys = await newKeys();
  const authority = await x509.X509CertificateGenerator.createSelfSigned({
    name: "CN=Test authority",
    keys: authorityKeys,
    signingAlgorithm: algorithm,
    extensions: [new x509.BasicConstraintsExtension(true)],
    ...validity,
  });
  const keys = await newKeys();
  const certificate = await x509.X509CertificateGenerator.create({
    subject: `CN=${host}`,
    issuer: authority.subject,
    publicKey: keys.publicKey,
    signingKey: authorityKeys.privateKey,
    signingAlgorithm: algorithm,
    extensions: [new x509.SubjectAlternativeNameExtension([{ type: "dns", value: host }])],
    ...validity,
    ...(hasExpired ? { notAfter: new Date(Date.now() - dayMs / 2) } : {}),
  });
  const privateKey = await webcrypto.subtle.exportKey("pkcs8", keys.privateKey);
  return {
    authority: authority.toString("pem"),
    certificate: certificate.toString("pem"),
    privateKey: x509.PemConverter.encode(privateKey, "PRIVATE KEY"),
  };
}

const newKeys = (): Promise<webcrypto.CryptoKeyPair> =>
  webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
