// Must be imported before @peculiar/x509, whose dependency injection needs it.
import "reflect-metadata";
import { type webcrypto } from "node:crypto";
import * as x509 from "@peculiar/x509";

/** A certificate and its private key as PEM. */
export interface Certificate {
  readonly certificate: string;
  readonly privateKey: string;
}

export interface VpnCertificates {
  /** Azure trusts certificates that this one signed. Keep its key, which signs certificates for further clients. */
  readonly root: Certificate;
  /** One certificate for each client, in the order of the given names. */
  readonly clients: readonly (Certificate & { readonly name: string })[];
}

const algorithm = {
  name: "RSASSA-PKCS1-v1_5",
  hash: "SHA-256",
  publicExponent: new Uint8Array([1, 0, 1]),
  modulusLength: 2048,
};
const day = 86_400_000;

/**
 * Creates a root certificate and client certificates signed by it. Point-to-site VPN requires RSA with SHA-256, and the
 * extended key usage of client authentication for clients.
 */
export async function makeVpnCertificates(clientNames: readonly string[], days = 365): Promise<VpnCertificates> {
  const rootKeys = await makeKeys();
  const lifetime = { notBefore: new Date(Date.now() - day), notAfter: new Date(Date.now() + days * day) };
  const root = await x509.X509CertificateGenerator.createSelfSigned({
    name: "CN=PostgreSQL migration lab root",
    keys: rootKeys,
    signingAlgorithm: algorithm,
    ...lifetime,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(rootKeys.publicKey),
    ],
  });
  const client = async (name: string) => {
    const keys = await makeKeys();
    const certificate = await x509.X509CertificateGenerator.create({
      // In this form the name needs no escaping.
      subject: [{ CN: [name] }],
      issuer: root.subject,
      publicKey: keys.publicKey,
      signingKey: rootKeys.privateKey,
      signingAlgorithm: algorithm,
      ...lifetime,
      extensions: [
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.clientAuth]),
        await x509.AuthorityKeyIdentifierExtension.create(rootKeys.publicKey),
      ],
    });
    return { name, certificate: certificate.toString("pem"), privateKey: await exportKey(keys.privateKey) };
  };
  return {
    root: { certificate: root.toString("pem"), privateKey: await exportKey(rootKeys.privateKey) },
    clients: await Promise.all(clientNames.map(client)),
  };
}

const makeKeys = (): Promise<webcrypto.CryptoKeyPair> => crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);

async function exportKey(key: webcrypto.CryptoKey): Promise<string> {
  return x509.PemConverter.encode(await crypto.subtle.exportKey("pkcs8", key), "PRIVATE KEY");
}
