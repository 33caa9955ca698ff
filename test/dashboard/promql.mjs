import { parser } from "@prometheus-io/lezer-promql";

/**
 * The names in an expression of PromQL, read with the grammar of Prometheus' own page. Grafana's variables are inside of its
 * texts.
 *
 * @throws if the expression is invalid
 */
export function namesIn(expr) {
  const names = { metrics: [], labels: [], grouping: [] };
  parser.parse(expr).iterate({
    enter: ({ type, from, to, node }) => {
      if (type.isError) throw new Error(`invalid PromQL at ${from}: ${expr}`);
      const text = expr.slice(from, to);
      if (type.name === "Identifier" && node.parent.name === "VectorSelector") names.metrics.push(text);
      if (type.name !== "LabelName") return;
      names.labels.push(text);
      if (node.parent.name === "GroupingLabels") names.grouping.push(text);
    },
  });
  return names;
}
