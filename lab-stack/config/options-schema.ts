import { z } from "zod";
import { expected } from "./schema-messages";

/** Alerts of the new server, and a workbook with its metrics. */
export const monitoringSchema = z.strictObject({
  /** Addresses that receive the alerts. Without one, alerts are shown only in Azure. */
  emails: z.array(z.email(expected("an e-mail address"))).default([]),
  workbook: z.boolean().default(true),
});

/** A virtual machine with PostgreSQL as source, for a subscription that has none. */
export const sourceServerSchema = z.strictObject({
  size: z.string().min(1).default("Standard_B2s"),
  /** Of the user `lab`. The machine has no password for SSH. */
  sshPublicKey: z
    .string()
    .regex(
      /^(ssh-(rsa|ed25519)|ecdsa-\S+) \S+/,
      expected("a public key as ssh-keygen writes it, such as ssh-ed25519 ..."),
    ),
});
