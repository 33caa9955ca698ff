import * as dbforpostgresql from "@pulumi/azure-native/dbforpostgresql";
import * as pulumi from "@pulumi/pulumi";
import { type FlexibleServer, goingWith } from "./flexible-server";
import type { LabConfig } from "../lab-config";
import type { Place } from "../network/network";
import { ServerRestart } from "./server-restart";

/** Extensions that work only when their library is loaded at the server's start (Azure, "Extensions and modules"). */
const libraries: Readonly<Record<string, string>> = {
  PG_CRON: "pg_cron",
  PG_HINT_PLAN: "pg_hint_plan",
  PG_PARTMAN: "pg_partman_bgw",
  PG_PREWARM: "pg_prewarm",
  PG_STAT_STATEMENTS: "pg_stat_statements",
  PGAUDIT: "pgaudit",
  PGLOGICAL: "pglogical",
  TIMESCALEDB: "timescaledb",
  WAL2JSON: "wal2json",
};

/** What Azure preloads unless told otherwise; a list that is set replaces it. */
const preloadedByDefault = ["pg_cron", "pg_stat_statements"];

/** Enough for a migration of every database that Azure's own service takes at once, and a few readers beside it. */
const logicalReplication = {
  wal_level: "logical",
  max_replication_slots: "20",
  max_wal_senders: "20",
  max_worker_processes: "24",
};

/**
 * The parameters that a configuration asks for, by name and in the order in which they are set.
 *
 * @param inherited what other servers give; the configuration wins, and lists are joined
 */
export function serverParametersOf(
  { parameters, migration, phase }: Pick<LabConfig, "parameters" | "migration" | "phase">,
  inherited: Readonly<Record<string, string>> = {},
): ReadonlyMap<string, string> {
  const wanted = [...parameters.extensions, ...listIn(inherited["azure.extensions"])];
  const extensions = [...new Set(wanted.map((name) => name.toUpperCase()))].sort();
  const preloaded = new Set([
    ...preloadedByDefault,
    ...listIn(inherited.shared_preload_libraries),
    ...extensions.flatMap((name) => libraries[name] ?? []),
  ]);
  const isOnline = phase === "migrate" && migration?.mode === "Online";
  return new Map(
    Object.entries({
      ...inherited,
      "azure.extensions": extensions.join(","),
      ...(preloaded.size > preloadedByDefault.length && { shared_preload_libraries: [...preloaded].join(",") }),
      ...(parameters.isSource && logicalReplication),
      // An online migration wants temporary tablespaces where the data is.
      ...(isOnline && { "azure.enable_temp_tablespaces_on_local_ssd": "off" }),
      ...parameters.more,
    }),
  );
}

const listIn = (value = ""): string[] => value.split(",").filter((name) => name !== "");

/** Sets parameters one after another (Azure answers ServerIsBusy to two at once), then restarts if one asks for it. */
export function declareServerParameters(
  { config, naming, group }: Place,
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
        { dependsOn: [declared.at(-1) ?? last], ...goingWith(server, config) },
      ),
    );
  }
  return new ServerRestart(
    naming.of("psql", "restart"),
    { server: server.id, resourceManager: config.resourceManager, onChangeOf: staticValues(declared) },
    { dependsOn: [declared.at(-1) ?? last] },
  );
}

/** The values that take effect at the server's start only, by Azure's own word. */
function staticValues(declared: readonly dbforpostgresql.Configuration[]): pulumi.Output<Record<string, string>> {
  const all = declared.map(({ name, value, isDynamicConfig }) => pulumi.all([name, value, isDynamicConfig]));
  return pulumi
    .all(all)
    .apply((known) =>
      Object.fromEntries(known.filter(([, , isDynamic]) => !isDynamic).map(([name, value]) => [name, value ?? ""])),
    );
}
