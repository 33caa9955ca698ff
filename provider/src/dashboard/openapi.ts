import { z } from "zod";
import { engineVersion } from "../engine-version.js";
import {
  errorSchema,
  eventsSchema,
  fleetSchema,
  historySchema,
  migrationListSchema,
  migrationSchema,
  sourceDatabasesSchema,
  startedMigrationSchema,
  summarySchema,
  tablesSchema,
} from "./answer-schemas.js";
import { reportSchema } from "../report/report-schema.js";

const json = (description: string, schema: z.ZodType): object => {
  const { $schema: _dialect, ...described } = z.toJSONSchema(schema, { io: "input" });
  return { description, content: { "application/json": { schema: described } } };
};

const failure = (description: string): object => json(description, errorSchema);

const unauthorized = { 401: failure("The token is missing or wrong") };
const refused = { 403: failure("The request comes from another site") };
const always = { 400: failure("Invalid request target"), 421: failure("Unknown Host") };
const unreadable = { 503: failure("The target cannot be read") };

const nameParameter = { name: "name", in: "path", required: true, schema: { type: "string" } };
const ofMigration = {
  parameters: [nameParameter],
  responses: { 404: failure("No migration of this name is recorded") },
};

interface Operation {
  readonly id: string;
  readonly summary: string;
  /** The schema of the JSON, or another media type. */
  readonly answer: z.ZodType | "text/html";
  readonly isNamed?: boolean;
}

const get = ({ id, summary, answer, isNamed = false }: Operation): object => ({
  get: {
    operationId: id,
    summary,
    ...(isNamed ? { parameters: ofMigration.parameters } : {}),
    responses: {
      200: typeof answer === "string" ? { description: summary, content: { [answer]: {} } } : json(summary, answer),
      ...(isNamed ? ofMigration.responses : {}),
      ...always,
      ...unauthorized,
      ...refused,
      ...unreadable,
    },
  },
});

const databaseParameter = {
  ...{ name: "database", in: "query", description: "one or more databases; all without it" },
  schema: { type: "array", items: { type: "string" } },
};

const post = (id: string, summary: string, ...parameters: readonly object[]): object => ({
  post: {
    operationId: id,
    summary,
    parameters: [...ofMigration.parameters, ...parameters],
    responses: {
      202: json("Requested: the worker carries it out", z.object({ requested: z.string() })),
      ...ofMigration.responses,
      409: failure("The migration is not in a state that allows it"),
      ...always,
      ...unauthorized,
      403: failure("The dashboard is read-only, or the request comes from another site"),
      ...unreadable,
    },
  },
});

const newMigrationBody = {
  required: true,
  content: {
    "application/json": {
      schema: {
        type: "object",
        description: "inputs of a PgMigration without the target; the database list needs only the source",
        properties: {
          migrationName: { type: "string" },
          migrationMode: { enum: ["Offline", "Online"] },
          dbsToMigrate: { type: "array", items: { type: "string" } },
          source: {
            type: "object",
            properties: {
              ...{ host: { type: "string" }, port: { type: "integer" }, user: { type: "string" } },
              ...{ password: { type: "string", writeOnly: true }, sslMode: { type: "string" } },
              sslRootCert: { type: "string", description: "PEM text" },
            },
          },
        },
      },
    },
  },
};

const postNew = (id: string, summary: string, answer: z.ZodType): object => ({
  operationId: id,
  summary,
  requestBody: newMigrationBody,
  responses: {
    200: json(summary, answer),
    ...{ 400: failure("An input is invalid, or not accepted here"), 409: failure("A server or a record refuses it") },
    ...{ 421: always[421], ...unauthorized, 403: failure("The dashboard is read-only, or another site asks") },
    503: failure("A server cannot be reached"),
  },
});

const stream = {
  operationId: "streamEvents",
  summary:
    "Server-sent events: trouble, migrations, and for one migration: migration, tables, events, history. Of many targets: list, fleet",
  parameters: [{ name: "migration", in: "query", schema: { type: "string" } }],
  responses: {
    200: { description: "A stream that does not end", content: { "text/event-stream": {} } },
    ...always,
    ...unauthorized,
    ...refused,
    503: failure("Too many pages are open"),
  },
};

const fleetPath = get({
  id: "listFleet",
  summary: "The migrations on all targets, those that need a user first",
  answer: fleetSchema,
});

const ofOneTarget = {
  url: "/targets/{target}",
  description: "One target of the list",
  variables: { target: { default: "name", description: "its name in the list, percent-encoded" } },
};

/** The API as OpenAPI 3.1. @param isFleet for `dashboard --targets` */
export const openApi = (isFleet: boolean): object =>
  isFleet ? { ...api, servers: [{ url: "/" }, ofOneTarget], paths: { "/api/fleet": fleetPath, ...api.paths } } : api;

const api = {
  openapi: "3.1.0",
  info: {
    title: "pg-migration dashboard",
    version: engineVersion,
    license: { name: "Apache-2.0", identifier: "Apache-2.0" },
  },
  servers: [{ url: "/" }],
  components: { securitySchemes: { token: { type: "http", scheme: "bearer" } } },
  security: [{ token: [] }],
  paths: {
    "/api/migrations": {
      ...get({
        id: "listMigrations",
        summary: "All migrations into the target, newest first",
        answer: migrationListSchema,
      }),
      post: postNew("createMigration", "Record a migration and start its worker", startedMigrationSchema),
    },
    "/api/source-databases": {
      post: postNew("listSourceDatabases", "The databases of a source", sourceDatabasesSchema),
    },
    "/api/summary": { post: postNew("summarize", "What a migration would do; records nothing", summarySchema) },
    "/api/migrations/{name}": get({
      id: "getMigration",
      summary: "One migration with its full status",
      answer: migrationSchema,
      isNamed: true,
    }),
    "/api/migrations/{name}/tables": get({
      id: "listTables",
      summary: "The tables of a migration",
      answer: tablesSchema,
      isNamed: true,
    }),
    "/api/migrations/{name}/events": get({
      id: "listEvents",
      summary: "The log of a migration's workers, oldest first",
      answer: eventsSchema,
      isNamed: true,
    }),
    "/api/migrations/{name}/history": get({
      id: "getHistory",
      summary: "Throughput and lag over time; older samples are thinned out",
      answer: historySchema,
      isNamed: true,
    }),
    "/api/migrations/{name}/report": get({
      id: "getReport",
      summary: "Report of the whole migration",
      answer: reportSchema,
      isNamed: true,
    }),
    "/api/migrations/{name}/report.html": get({
      id: "getReportAsHtml",
      summary: "Report of the whole migration, as one HTML file",
      answer: "text/html",
      isNamed: true,
    }),
    "/api/migrations/{name}/cutover": post("cutOver", "Cut over an online migration", databaseParameter),
    "/api/migrations/{name}/cancel": post("cancel", "Cancel a migration", databaseParameter),
    "/api/migrations/{name}/verify": post("verify", "Compare all rows while writes continue"),
    "/api/migrations/{name}/rollback-keep": post("keepRollback", "Keep a rollback replication after the cutover"),
    "/api/migrations/{name}/rollback-return": post("returnToSource", "Make the source primary again"),
    "/api/migrations/{name}/rollback-drop": post("dropRollback", "End the rollback replication"),
    "/api/migrations/{name}/databases": post("setDatabases", "Name the databases to migrate", {
      ...databaseParameter,
      ...{ required: true, description: "one or more databases" },
    }),
    "/api/migrations/{name}/setup-replication": post("setUpReplication", "Configure the source for replication"),
    "/api/migrations/{name}/overwrite": post("overwrite", "Allow to replace databases on the target"),
    "/api/migrations/{name}/start": post("start", "Start to copy"),
    "/api/migrations/{name}/window": post("moveWindow", "Move the start of the migration window", {
      ...{ name: "start", in: "query", required: true, description: "ISO 8601, in UTC" },
      schema: { type: "string", format: "date-time" },
    }),
    "/api/events": { get: stream },
    "/metrics": {
      get: {
        operationId: "getMetrics",
        summary: "Metrics for Prometheus",
        responses: {
          200: { description: "Prometheus' text format", content: { "text/plain": {} } },
          ...always,
          ...unauthorized,
          ...refused,
          ...unreadable,
        },
      },
    },
    "/healthz": {
      get: {
        operationId: "getHealth",
        summary: "Whether the target can be read",
        security: [],
        responses: {
          200: json("The target can be read", z.object({ status: z.string() })),
          ...always,
          503: json("The target cannot be read", z.object({ status: z.string() })),
        },
      },
    },
  },
};
