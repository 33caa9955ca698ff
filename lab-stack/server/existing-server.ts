import { z } from "zod";
import type { LabConfig } from "../config/lab-schema";
import { readExisting } from "../resource-manager";

const listOf = <Member extends z.ZodType>(member: Member) => z.object({ value: z.array(member) });

const serverSchema = z.object({ tags: z.record(z.string(), z.string()).nullish() });
const firewallRules = listOf(
  z.object({ name: z.string(), properties: z.object({ startIpAddress: z.ipv4(), endIpAddress: z.ipv4() }) }),
);
const configurations = listOf(
  z.object({ name: z.string(), properties: z.object({ value: z.string().nullish(), source: z.string().nullish() }) }),
);
const criterionSchema = z.object({
  name: z.string(),
  metricName: z.string(),
  metricNamespace: z.string().optional(),
  operator: z.string(),
  threshold: z.number(),
  timeAggregation: z.string(),
  criterionType: z.literal("StaticThresholdCriterion"),
});
const alerts = listOf(
  z.object({
    name: z.string(),
    properties: z.object({
      description: z.string().default(""),
      severity: z.number().int(),
      enabled: z.boolean(),
      scopes: z.array(z.string()),
      evaluationFrequency: z.string(),
      windowSize: z.string(),
      criteria: z.object({ allOf: z.array(z.unknown()).default([]) }),
      actions: z.array(z.object({ actionGroupId: z.string() })).default([]),
    }),
  }),
);

/** An alert on a server's metrics with fixed thresholds. */
export interface Alert {
  readonly name: string;
  readonly description: string;
  readonly severity: number;
  readonly enabled: boolean;
  readonly evaluationFrequency: string;
  readonly windowSize: string;
  readonly criteria: readonly z.output<typeof criterionSchema>[];
  readonly actions: readonly { readonly actionGroupId: string }[];
}

/** Settings of an existing server that the new server copies. */
export interface ExistingServer {
  readonly tags: Readonly<Record<string, string>>;
  readonly firewallRules: readonly { readonly name: string; readonly start: string; readonly end: string }[];
  /** Parameters that differ from Azure's defaults. */
  readonly parameters: Readonly<Record<string, string>>;
  readonly alerts: readonly Alert[];
}

const none: ExistingServer = { tags: {}, firewallRules: [], parameters: {}, alerts: [] };
const postgresqlVersion = "2025-08-01";
const alertsVersion = "2018-03-01";

/** Reads the configuration's `existingServer` from Azure. @throws ResourceManagerError */
export async function readExistingServer(config: LabConfig): Promise<ExistingServer> {
  const id = config.existingServer;
  if (id === undefined) return none;
  const read = (path: string, version = postgresqlVersion) => readExisting(config, path, version);
  const group = id.slice(0, id.toLowerCase().indexOf("/providers/"));
  const server = serverSchema.parse(await read(id));
  const rules = firewallRules.parse(await read(`${id}/firewallRules`));
  const parameters = configurations.parse(await read(`${id}/configurations`));
  const found = alerts.parse(await read(`${group}/providers/Microsoft.Insights/metricAlerts`, alertsVersion));
  return {
    tags: server.tags ?? {},
    firewallRules: rules.value.map(({ name, properties }) => ({
      name,
      start: properties.startIpAddress,
      end: properties.endIpAddress,
    })),
    parameters: Object.fromEntries(
      parameters.value
        .filter(({ properties }) => properties.source === "user-override")
        .map(({ name, properties }) => [name, properties.value ?? ""]),
    ),
    alerts: found.value
      .filter(({ properties }) => properties.scopes.some((scope) => scope.toLowerCase() === id.toLowerCase()))
      .flatMap(alertOf),
  };
}

/** Skips alerts with dynamic thresholds, because a new server has no history from which Azure could derive them. */
function alertOf({ name, properties }: z.output<typeof alerts>["value"][number]): Alert[] {
  const { criteria, description, severity, enabled, evaluationFrequency, windowSize, actions } = properties;
  const known = criteria.allOf.flatMap((criterion) => {
    const parsed = criterionSchema.safeParse(criterion);
    return parsed.success ? [parsed.data] : [];
  });
  if (known.length === 0 || known.length < criteria.allOf.length) return [];
  return [{ name, description, severity, enabled, evaluationFrequency, windowSize, criteria: known, actions }];
}
