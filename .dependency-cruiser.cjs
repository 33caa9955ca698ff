/** The layers of provider/src, top to bottom: a module imports only from its own layer and from layers below. */
const layers = [
  ["index"],
  ["cli", "dashboard", "resource", "runners"],
  ["supervisor"],
  ["worker/(main|serve|read-worker-job)"],
  ["worker/pool"],
  ["worker/run"],
  ["worker/streaming"],
  ["worker/schema-sync"],
  ["worker/followers"],
  ["worker/rollback"],
  ["worker/initial-copy"],
  ["worker/schema-diff"],
  ["worker/comparison", "worker/monitoring", "worker/cleanup"],
  ["worker/context"],
  ["worker/budgets"],
  ["validation"],
  ["cutover"],
  ["report", "target-checks"],
  ["fleet"],
  ["display"],
  ["store"],
  ["verify"],
  ["schema"],
  ["copy", "cdc"],
  ["platforms", "webhook"],
  ["inputs"],
  ["postgres"],
  ["findings", "finding-codes", "status", "errors", "exit-codes", "engine-version", "units", "async", "log"],
];
const pathOf = (layer) => `^provider/src/(${layer.join("|")})(/|\\.ts$)`;

module.exports = {
  forbidden: [
    { name: "no-cycles", severity: "error", from: {}, to: { circular: true } },
    ...layers.slice(1).map((layer, i) => ({
      name: `${layer.join(", ")} imports no layer above`,
      severity: "error",
      from: { path: pathOf(layer) },
      to: { path: layers.slice(0, i + 1).map(pathOf) },
    })),
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    exclude: { path: "(^|/)(dist|node_modules)/" },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["import", "require", "node", "default"],
      extensions: [".ts", ".js", ".mjs"],
    },
  },
};
