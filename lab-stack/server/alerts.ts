import type * as dbforpostgresql from "@pulumi/azure-native/dbforpostgresql";
import * as monitor from "@pulumi/azure-native/monitor";
import type { Alert } from "./existing-server";
import type { LabContext } from "../lab-context";

/** Declares the alerts of the existing server for the metrics of the new one. */
export function declareAlerts(
  { naming, group }: LabContext,
  server: dbforpostgresql.Server,
  alerts: readonly Alert[],
): monitor.MetricAlert[] {
  return alerts.map(
    ({ name, criteria, actions, ...rest }) =>
      new monitor.MetricAlert(naming.of("ma", name), {
        resourceGroupName: group.name,
        ruleName: naming.of("ma", name),
        location: "global",
        scopes: [server.id],
        criteria: {
          odataType: "Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria",
          allOf: [...criteria],
        },
        actions: [...actions],
        ...rest,
        tags: naming.tags,
      }),
  );
}
