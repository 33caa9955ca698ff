import * as applicationinsights from "@pulumi/azure-native/applicationinsights";
import type * as dbforpostgresql from "@pulumi/azure-native/dbforpostgresql";
import * as monitor from "@pulumi/azure-native/monitor";
import * as random from "@pulumi/random";
import type { LabContext } from "../lab-context";

const metricNamespace = "Microsoft.DBforPostgreSQL/flexibleServers";

/** A metric of Azure Monitor, and the value at which it is an alert. */
interface Watched {
  readonly metric: string;
  readonly title: string;
  readonly alert?: { readonly operator: string; readonly threshold: number; readonly severity: number };
}

/** @see https://learn.microsoft.com/en-us/azure/postgresql/monitor/concepts-monitoring */
const watched: readonly Watched[] = [
  // Azure makes a server read-only at 95 %.
  { metric: "storage_percent", title: "Storage used", alert: { operator: "GreaterThan", threshold: 80, severity: 1 } },
  { metric: "cpu_percent", title: "CPU", alert: { operator: "GreaterThan", threshold: 90, severity: 2 } },
  { metric: "memory_percent", title: "Memory", alert: { operator: "GreaterThan", threshold: 90, severity: 2 } },
  {
    metric: "disk_iops_consumed_percentage",
    title: "IOPS used",
    alert: { operator: "GreaterThan", threshold: 95, severity: 3 },
  },
  { metric: "is_db_alive", title: "Available", alert: { operator: "LessThan", threshold: 1, severity: 0 } },
  { metric: "active_connections", title: "Connections" },
  { metric: "longest_transaction_time_sec", title: "Longest transaction" },
];

/** Declares alerts and a workbook for the new server, if the configuration has `monitoring`. */
export function declareMonitoring(context: LabContext, server: dbforpostgresql.Server): void {
  const { monitoring } = context.config;
  if (!monitoring) return;
  const receivers = monitoring.emails.length > 0 ? [declareActionGroup(context, monitoring.emails)] : [];
  for (const one of watched) declareAlert(context, server, one, receivers);
  if (monitoring.workbook) declareWorkbook(context, server);
}

function declareActionGroup({ naming, group }: LabContext, emails: readonly string[]): monitor.ActionGroup {
  return new monitor.ActionGroup(naming.of("ag"), {
    resourceGroupName: group.name,
    actionGroupName: naming.of("ag"),
    location: "Global",
    // At most 12 characters, shown in messages.
    groupShortName: "postgresql",
    enabled: true,
    emailReceivers: emails.map((emailAddress, index) => ({
      name: `email-${index + 1}`,
      emailAddress,
      useCommonAlertSchema: true,
    })),
    tags: naming.tags,
  });
}

function declareAlert(
  { naming, group }: LabContext,
  server: dbforpostgresql.Server,
  { metric, title, alert }: Watched,
  receivers: readonly monitor.ActionGroup[],
): void {
  if (!alert) return;
  const { operator, threshold, severity } = alert;
  const name = naming.of("ma", metric.replaceAll("_", "-"));
  new monitor.MetricAlert(name, {
    resourceGroupName: group.name,
    ruleName: name,
    location: "global",
    description: `${title}: ${metric} ${operator} ${threshold}`,
    scopes: [server.id],
    severity,
    enabled: true,
    evaluationFrequency: "PT1M",
    windowSize: "PT5M",
    criteria: {
      odataType: "Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria",
      allOf: [
        {
          ...{ name: metric, metricName: metric, metricNamespace, operator, threshold },
          // With a maximum, a server that is unavailable for part of the window would count as available.
          timeAggregation: metric === "is_db_alive" ? "Minimum" : "Average",
          criterionType: "StaticThresholdCriterion",
        },
      ],
    },
    actions: receivers.map(({ id }) => ({ actionGroupId: id })),
    tags: naming.tags,
  });
}

function declareWorkbook({ naming, group }: LabContext, server: dbforpostgresql.Server): void {
  // Azure requires a UUID as the workbook's name.
  const name = new random.RandomUuid(naming.of("wb", "name"));
  new applicationinsights.Workbook(naming.of("wb"), {
    resourceGroupName: group.name,
    resourceName: name.result,
    location: group.location,
    kind: "shared",
    category: "workbook",
    displayName: naming.of("wb"),
    sourceId: server.id,
    serializedData: server.id.apply((id) => JSON.stringify(workbookOf(id))),
    tags: naming.tags,
  });
}

/** One chart for each metric, side by side. */
const workbookOf = (serverId: string) => ({
  version: "Notebook/1.0",
  items: watched.map(({ metric, title }) => ({
    type: 10,
    name: metric,
    customWidth: "50",
    content: {
      version: "MetricsItem/2.0",
      size: 0,
      chartType: 2,
      resourceType: metricNamespace.toLowerCase(),
      metricScope: 0,
      resourceIds: [serverId],
      timeContext: { durationMs: 86_400_000 },
      title,
      metrics: [
        {
          namespace: metricNamespace.toLowerCase(),
          metric: `${metricNamespace.toLowerCase()}--${metric}`,
          aggregation: 4,
        },
      ],
    },
  })),
  fallbackResourceIds: [serverId],
  $schema: "https://github.com/Microsoft/Application-Insights-Workbooks/blob/master/schema/workbook.json",
});
