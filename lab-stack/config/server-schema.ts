import { z } from "zod";
import { tenantId, text, zone } from "./scalar-schemas";
import { expected } from "./schema-messages";

/** The tier of each family of compute sizes, by the first letter after `Standard_`. */
const tiers = { B: "Burstable", D: "GeneralPurpose", E: "MemoryOptimized" } as const;

/** `az postgres flexible-server list-skus` lists the compute sizes of a region. */
const skuSchema = z
  .strictObject({
    name: z
      .string()
      .regex(
        /^Standard_(B\d+m?s|[DE]C?\d+[a-z]*s_v\d)$/,
        expected("a compute size such as Standard_B2s, Standard_D2ds_v5 or Standard_E4ds_v5"),
      ),
    tier: z.enum(["Burstable", "GeneralPurpose", "MemoryOptimized"]),
  })
  .superRefine(({ name, tier }, context) => {
    const tierOfSize = tiers[name["Standard_".length] as keyof typeof tiers];
    if (tier !== tierOfSize)
      context.addIssue({
        code: "custom",
        path: ["tier"],
        message: `${name} belongs to tier ${tierOfSize}, not ${tier}`,
      });
  });

const entraAdministratorSchema = z.strictObject({
  objectId: z.guid(expected("the object id of the user, group or service principal")),
  principalName: z.string().min(1),
  principalType: z.enum(["User", "Group", "ServicePrincipal"]).default("User"),
  tenantId,
});

const reservedLogin = /^(azure_superuser|azure_pg_admin|admin|administrator|root|guest|public|pg_.*)$/i;

export const serverSchema = z.strictObject({
  /** Unique in all of Azure. Default: made from the names of the lab and the stack. */
  name: z
    .string()
    .regex(
      /^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/,
      expected("3 to 63 lower-case letters, digits and hyphens, without a hyphen at either end"),
    )
    .optional(),
  version: text.pipe(z.enum(["13", "14", "15", "16", "17", "18"])).default("17"),
  administratorLogin: z
    .string()
    .regex(
      /^[a-z_][a-z0-9_]{0,62}$/i,
      expected("letters, digits and underscores, with a letter or underscore at the start"),
    )
    .refine((name) => !reservedLogin.test(name), {
      error: "Azure reserves this name, choose another one, such as pgadmin",
    })
    .default("pgadmin"),
  /** The compute size after the migration. */
  sku: skuSchema.default({ name: "Standard_D2ds_v5", tier: "GeneralPurpose" }),
  /** The compute size during the migration. Default: `sku`. */
  migrationSku: skuSchema.optional(),
  /** In GiB: the sizes of Azure's premium disks. */
  storageGb: z.literal([32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32767]).default(128),
  /** The total size of the databases to migrate, in GiB. */
  sourceSizeGb: z.number().nonnegative().default(0),
  /** Takes effect after the migration. */
  highAvailability: z.enum(["Disabled", "SameZone", "ZoneRedundant"]).default("ZoneRedundant"),
  availabilityZone: zone.optional(),
  backupRetentionDays: z.number().int().min(7).max(35).default(7),
  entraAdministrator: entraAdministratorSchema.optional(),
});
