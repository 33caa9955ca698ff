import { readFileSync } from "node:fs";
import { join } from "node:path";

/** What one query of the Grafana dashboard asks for. */
export interface Question {
  /** The panel or the variable. */
  readonly place: string;
  readonly metrics: readonly string[];
  /** The labels of these metrics that the query, or the legend of its result, names. */
  readonly labels: readonly string[];
}

interface Dashboard {
  readonly panels: readonly {
    readonly title: string;
    readonly targets: readonly { readonly expr: string; readonly legendFormat?: string }[];
  }[];
  readonly templating: { readonly list: readonly { readonly name: string; readonly query: string }[] };
}

/**
 * All queries of the Grafana dashboard.
 *
 * @throws if Prometheus would refuse one, or a legend names a label that the query's result does not have
 */
export async function grafanaQuestions(): Promise<Question[]> {
  const { namesIn } = await import("./promql.mjs");
  const file = join(__dirname, "../../docs/grafana-dashboard.json");
  const { panels, templating } = JSON.parse(readFileSync(file, "utf8")) as Dashboard;
  const ofPanels = panels.flatMap(({ title, targets }) =>
    targets.map(({ expr, legendFormat = "" }) => {
      const { metrics, labels, grouping } = namesIn(expr);
      const shown = [...legendFormat.matchAll(/\{\{(\w+)\}\}/g)].map(([, label]) => label!);
      const lost = grouping.length === 0 ? undefined : shown.find((label) => !grouping.includes(label));
      if (lost !== undefined) throw new Error(`${title}: ${expr} has no ${lost}, which its legend names`);
      return { place: title, metrics, labels: [...labels, ...shown] };
    }),
  );
  const ofVariables = templating.list.flatMap(({ name, query }) => {
    const [, selector, label] = /^label_values\((.*), (\w+)\)$/.exec(query) ?? [];
    if (selector === undefined) return [];
    const { metrics, labels } = namesIn(selector);
    return [{ place: `$${name}`, metrics, labels: [...labels, label!] }];
  });
  return [...ofPanels, ...ofVariables];
}

/** The labels of each metric in the text of `/metrics`. Empty without a sample. */
export function servedLabels(text: string): ReadonlyMap<string, ReadonlySet<string>> {
  const served = new Map<string, Set<string>>();
  for (const [, name] of text.matchAll(/^# TYPE (\S+) (?:gauge|counter)$/gm)) served.set(name!, new Set());
  for (const [, name, labels = ""] of text.matchAll(/^(pg_migration_\w+)\{(.*)\} /gm))
    for (const [, label] of labels.matchAll(/(?:^|,)(\w+)=/g)) served.get(name!)!.add(label!);
  return served;
}
