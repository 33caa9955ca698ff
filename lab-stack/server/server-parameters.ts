import * as dbforpostgresql from "@pulumi/azure-native/dbforpostgresql";
import * as pulumi from "@pulumi/pulumi";
import { type FlexibleServer, deletedWithServer } from "./flexible-server";
import { preloadLibraries } from "../config/azure-extensions";
import type { LabConfig } from "../config/lab-schema";
import type { LabContext } from "../lab-context";
import { ServerRestart } from "./server-restart";

/** Libraries that Azure preloads by default. A list that is set replaces the default. */
const preloadedByDefault = ["pg_cron", "pg_stat_statements"];

/** Sufficient for the eight databases that Microsoft's service migrates at once, and for a few other readers. */
const logicalReplication = {
  wal_level: "logical",
  max_replication_slots: "20",
  max_wal_senders: "20",
  max_worker_processes: "24",
};

/**
 * Returns the parameters to set, by name and in order.
 *
 * @param copied parameters of other servers. The configuration overrides them, and lists are joined.
 */
export function serverParametersOf(
  { parameters, migration, phase }: Pick<LabConfig, "parameters" | "migration" | "phase">,
  copied: Readonly<Record<string, string>> = {},
): ReadonlyMap<string, string> {
  const names = [...parameters.extensions, ...listIn(copied["azure.extensions"])];
  const extensions = [...new Set(names.map((name) => name.toLowerCase()))].sort();
  const preloaded = new Set([
    ...preloadedByDefault,
    ...listIn(copied.shared_preload_libraries),
    ...extensions.flatMap((name) => preloadLibraries[name] ?? []),
  ]);
  const isOnline = phase === "migrate" && migration?.mode === "Online";
  return new Map(
    Object.entries({
      ...copied,
      "azure.extensions": extensions.join(",").toUpperCase(),
      ...(preloaded.size > preloadedByDefault.length && { shared_preload_libraries: [...preloaded].join(",") }),
      ...(parameters.isSource && logicalReplication),
      // An online migration needs temporary tablespaces on the data disk.
      ...(isOnline && { "azure.enable_temp_tablespaces_on_local_ssd": "off" }),
      ...parameters.more,
    }),
  );
}

const listIn = (value = ""): string[] => value.split(",").filter((name) => name !== "");

/** Sets parameters one after another (Azure answers ServerIsBusy to two at once), then restarts if one needs it. */
export function declareServerParameters(
  { config, naming, group }: LabContext,
  { server, last }: FlexibleServer,
  parameters: ReadonlyMap<string, string>,
): pulumi.Resource {
  const declared: dbforpostgresql.Configuration[] = [];
  for (const [configurationName, value] of parameters) {
    declared.push(
      new dbforpostgresql.Configuration(
        naming.of("psql", configurationName),
        {
          resourceGroupName: group.name,
          serverName: server.name,
          configurationName,
          value,
          source: "user-override",
        },
        { dependsOn: [declared.at(-1) ?? last], ...deletedWithServer(server, config) },
      ),
    );
  }
  return new ServerRestart(
    naming.of("psql", "restart"),
    { server: server.id, resourceManager: config.resourceManager, onChangeOf: staticValues(declared) },
    { dependsOn: [declared.at(-1) ?? last] },
  );
}

/** The values of static parameters, which take effect when the server starts. Azure reports which ones are static. */
function staticValues(declared: readonly dbforpostgresql.Configuration[]): pulumi.Output<Record<string, string>> {
  const all = declared.map(({ name, value, isDynamicConfig }) => pulumi.all([name, value, isDynamicConfig]));
  return pulumi
    .all(all)
    .apply((known) =>
      Object.fromEntries(known.filter(([, , isDynamic]) => !isDynamic).map(([name, value]) => [name, value ?? ""])),
    );
}
