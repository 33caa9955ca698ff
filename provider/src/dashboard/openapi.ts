import { engineVersion } from "../engine-version.js";

const nameParameter = { name: "name", in: "path", required: true, schema: { type: "string" } };

const answer = (description: string, type: "object" | "array"): object => ({
  description,
  content: { "application/json": { schema: { type } } },
});

const refusals = {
  401: { description: "The token is missing or wrong" },
  403: { description: "Another page's request" },
};

const get = (summary: string, type: "object" | "array", named: boolean): object => ({
  get: {
    summary,
    ...(named ? { parameters: [nameParameter] } : {}),
    responses: {
      200: answer(summary, type),
      ...(named ? { 404: { description: "No such migration" } } : {}),
      ...refusals,
    },
  },
});

const post = (summary: string): object => ({
  post: {
    summary,
    parameters: [nameParameter],
    responses: {
      202: { description: "Asked; the worker does it" },
      404: { description: "No such migration" },
      409: { description: "The migration is not one that can be asked this" },
      ...refusals,
    },
  },
});

/** What the server answers, as OpenAPI 3.1. */
export const openApi = {
  openapi: "3.1.0",
  info: { title: "pg-migration dashboard", version: engineVersion },
  components: { securitySchemes: { token: { type: "http", scheme: "bearer" } } },
  security: [{ token: [] }],
  paths: {
    "/api/migrations": get("All migrations into the target, newest first", "array", false),
    "/api/migrations/{name}": get("One migration and how it stands", "object", true),
    "/api/migrations/{name}/tables": get("Its tables", "array", true),
    "/api/migrations/{name}/events": get("What its workers have written down", "array", true),
    "/api/migrations/{name}/history": get("Throughput and lag since it began, thinned with age", "array", true),
    "/api/migrations/{name}/cutover": post("Cut an online migration over"),
    "/api/migrations/{name}/cancel": post("Give a migration up"),
    "/api/events": {
      get: {
        summary: "Server-sent events: migrations, migration, tables, events, history, trouble",
        parameters: [{ name: "migration", in: "query", schema: { type: "string" } }],
        responses: { 200: { description: "A stream", content: { "text/event-stream": {} } }, ...refusals },
      },
    },
    "/metrics": {
      get: { summary: "Metrics for Prometheus", responses: { 200: { description: "Text" }, ...refusals } },
    },
    "/healthz": {
      get: {
        summary: "Whether the target's records can be read",
        security: [],
        responses: { 200: { description: "They can" }, 503: { description: "They cannot" } },
      },
    },
  },
};
