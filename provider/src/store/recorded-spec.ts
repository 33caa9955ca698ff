import { z } from "zod";
import { DamagedRecordError } from "../errors.js";
import { trustedAuthentication } from "../inputs/authentication.js";
import { completeSpec, specOf, type Inputs, type MigrationSpec, type PublicEndpoint } from "../inputs/inputs.js";

const endpoint = z.looseObject({ host: z.string(), port: z.number(), user: z.string() });

const kinds = (spec: Readonly<Record<string, unknown>>): Record<string, z.ZodType> =>
  Object.fromEntries(Object.entries(spec).map(([key, value]) => [key, kindOf(value)]));

function kindOf(value: unknown): z.ZodType {
  if (Array.isArray(value)) return z.array(z.string());
  if (typeof value === "object") return z.looseObject({});
  return typeof value === "string" ? z.string() : typeof value === "number" ? z.number() : z.boolean();
}

/** The kinds of values, not their ranges: a record of a later version may have a choice that this one does not know. */
const shape = z.looseObject({
  ...kinds({ ...completeSpec({} as MigrationSpec) }),
  migrationName: z.string(),
  source: endpoint,
  target: endpoint,
});

const unknownEndpoint = { host: "", port: 0, user: "", sslMode: "VerifyFull" } as const;

/** A spec as the records have it. */
export interface RecordedSpec {
  /** If the record is damaged, only its intact servers, to show and remove the migration. */
  readonly spec: MigrationSpec;
  readonly damage: DamagedRecordError | undefined;
}

/**
 * Reads a spec from the records, and completes one of an earlier version.
 *
 * @example const { spec, damage } = recordedSpec(row.name, row.spec);
 */
export function recordedSpec(migration: string, recorded: unknown): RecordedSpec {
  const result = shape.safeParse(completeSpec(recorded as MigrationSpec));
  if (result.success) return { spec: withoutForeign(result.data as unknown as Inputs), damage: undefined };
  const [issue] = result.error.issues;
  const where = ["spec", ...(issue?.path ?? [])].join(".");
  return {
    spec: completeSpec({ migrationName: migration, ...intactServers(recorded) } as MigrationSpec),
    damage: new DamagedRecordError(
      `the record of ${migration} on the target is damaged: invalid ${where}: ${issue?.message ?? "no object"}`,
      {
        remedy: `restore ${where} of this row of pgmigration.migration from a backup of the target, or remove the resource with Pulumi, or run pg-migration delete, which erases the record`,
      },
    ),
  };
}

/**
 * Without inputs that no worker records. The command of the user who reads the record would act on them: write a report to
 * any path, for example.
 */
function withoutForeign(recorded: Inputs): MigrationSpec {
  const spec = specOf(recorded);
  return { ...spec, source: withTrustedLogin(spec.source), target: withTrustedLogin(spec.target) };
}

function withTrustedLogin({ auth: recorded, ...server }: PublicEndpoint): PublicEndpoint {
  const auth = trustedAuthentication(recorded);
  return auth ? { ...server, auth } : server;
}

function intactServers(recorded: unknown): Record<"source" | "target", PublicEndpoint> {
  const { data } = z.looseObject({ source: z.unknown(), target: z.unknown() }).safeParse(recorded);
  const intact = (server: unknown): PublicEndpoint =>
    withTrustedLogin((endpoint.safeParse(server).data as PublicEndpoint | undefined) ?? unknownEndpoint);
  return { source: intact(data?.source), target: intact(data?.target) };
}

/** @throws DamagedRecordError when the spec is damaged */
export function requireSpec(migration: string, recorded: unknown): MigrationSpec {
  const { spec, damage } = recordedSpec(migration, recorded);
  if (damage) throw damage;
  return spec;
}
