import type * as Api from "@opentelemetry/api";
import type { BasicTracerProvider, SpanExporter } from "@opentelemetry/sdk-trace-base";
import { RefusedError, isModuleMissing } from "../../errors.js";
import { engineVersion } from "../../engine-version.js";
import { hasDatabaseEnded, type DatabaseState, type MigrationState, type MigrationSubState } from "../../status.js";
import type { DatabaseChange, JournalObserver } from "../../store/journal.js";
import type { WebhookSubject } from "../../webhook/webhook-event.js";

type Environment = Readonly<Record<string, string | undefined>>;

/** Whether OpenTelemetry's environment variables set an endpoint for traces and do not disable them. */
export const wantsTraces = (environment: Environment): boolean =>
  (environment.OTEL_EXPORTER_OTLP_ENDPOINT ?? environment.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT ?? "") !== "" &&
  environment.OTEL_SDK_DISABLED?.toLowerCase() !== "true" &&
  ["otlp", ""].includes(environment.OTEL_TRACES_EXPORTER ?? "");

/** An open span, and the context for its children. */
interface OpenSpan {
  readonly span: Api.Span;
  readonly context: Api.Context;
}

interface OpenDatabase extends OpenSpan {
  step: OpenSpan | undefined;
}

const lastWithinMs = 10_000;

/**
 * Creates spans from the journal's records: the migration, its substates, each database with the steps of its copy, and the
 * steps of the cutover. Each worker of a migration has a trace of its own.
 */
export class Traces implements JournalObserver {
  readonly #tracer: Api.Tracer;
  readonly #migration: OpenSpan;
  #phase: OpenSpan | undefined;
  readonly #databases = new Map<string, OpenDatabase>();

  private constructor(
    readonly api: typeof Api,
    readonly provider: BasicTracerProvider,
    subject: WebhookSubject,
  ) {
    this.#tracer = provider.getTracer("pulumi-pg-migration", engineVersion);
    this.#migration = this.#begin(`migration ${subject.migration}`, undefined, {
      "pg_migration.name": subject.migration,
      "pg_migration.source": subject.source,
      "pg_migration.target": subject.target,
    });
  }

  /** Loads OpenTelemetry, an optional peer dependency. @throws RefusedError if its packages are missing or too old */
  static async start(subject: WebhookSubject, environment: Environment): Promise<Traces> {
    try {
      return await Traces.#start(subject, environment);
    } catch (error) {
      if (!isModuleMissing(error)) throw error;
      throw packagesMissing(`are not installed (${error.message.split("\n")[0]!})`, error);
    }
  }

  static async #start(subject: WebhookSubject, environment: Environment): Promise<Traces> {
    const api = await import("@opentelemetry/api");
    const sdk = await import("@opentelemetry/sdk-trace-base");
    const resources = await import("@opentelemetry/resources");
    // @pulumi/pulumi for Node.js 20 depends on version 1.
    if (!("resourceFromAttributes" in resources)) throw packagesMissing("are older than version 2");
    // Failed deliveries are reported in the worker's log only.
    api.diag.setLogger(new api.DiagConsoleLogger(), api.DiagLogLevel.ERROR);
    const resource = resources
      .defaultResource()
      .merge(resources.resourceFromAttributes({ "service.name": "pg-migration", "service.version": engineVersion }))
      .merge(resources.detectResources({ detectors: [resources.envDetector] }));
    const spanProcessors = [new sdk.BatchSpanProcessor(await exporterFor(environment))];
    return new Traces(api, new sdk.BasicTracerProvider({ resource, spanProcessors }), subject);
  }

  state(state: MigrationState, subState: MigrationSubState, error: string | undefined): void {
    this.#phase?.span.end(Date.now());
    this.#phase = undefined;
    this.#migration.span.setAttribute("pg_migration.state", state);
    if (subState !== "Completed") this.#phase = this.#begin(subState, this.#migration.context);
    else if (state === "Failed" || state === "ValidationFailed") this.#fail(this.#migration.span, error);
  }

  database(name: string, { phase, state, message }: DatabaseChange): void {
    const database = this.#databases.get(name) ?? this.#open(name);
    if (phase !== undefined || message !== undefined) {
      database.step?.span.end(Date.now());
      const step = message ?? phase;
      database.step = step === undefined ? undefined : this.#begin(step, database.context);
    }
    if (state !== undefined && hasDatabaseEnded(state)) this.#close(name, database, state, message ?? undefined);
  }

  cutoverStep(database: string, step: string, seconds: number): void {
    const parent = this.#databases.get(database) ?? this.#migration;
    const endedAt = Date.now();
    this.#begin(step, parent.context, {}, endedAt - seconds * 1000).span.end(endedAt);
  }

  /** Sends the remaining spans for a few seconds; not at all once `stop` aborts. */
  async close(stop: AbortSignal): Promise<void> {
    for (const { step, span } of this.#databases.values()) {
      step?.span.end(Date.now());
      span.end(Date.now());
    }
    this.#phase?.span.end(Date.now());
    this.#migration.span.end(Date.now());
    const enough = AbortSignal.any([stop, AbortSignal.timeout(lastWithinMs)]);
    const over = new Promise<void>((resolve) => {
      if (enough.aborted) resolve();
      else enough.addEventListener("abort", () => resolve(), { once: true });
    });
    const sent = this.provider.shutdown().catch((error: unknown) => this.api.diag.error("traces", error));
    await Promise.race([sent, over]);
  }

  #open(name: string): OpenDatabase {
    const made = this.#begin(`database ${name}`, this.#migration.context, { "db.namespace": name });
    const database = { ...made, step: undefined };
    this.#databases.set(name, database);
    return database;
  }

  #close(name: string, { span, step }: OpenDatabase, state: DatabaseState, message: string | undefined): void {
    step?.span.end(Date.now());
    span.setAttribute("pg_migration.state", state);
    if (state === "Failed") this.#fail(span, message);
    span.end(Date.now());
    this.#databases.delete(name);
  }

  #fail(span: Api.Span, message: string | undefined): void {
    span.setStatus({ code: this.api.SpanStatusCode.ERROR, ...(message === undefined ? {} : { message }) });
  }

  /**
   * Times of all spans come from one clock. The library would measure each span from its own start, so that children would
   * outlive their parents.
   */
  #begin(name: string, parent?: Api.Context, attributes: Api.Attributes = {}, startTime = Date.now()): OpenSpan {
    const { ROOT_CONTEXT, trace } = this.api;
    const from = parent ?? ROOT_CONTEXT;
    const span = this.#tracer.startSpan(name, { attributes, startTime }, from);
    return { span, context: trace.setSpan(from, span) };
  }
}

/** Optional peer dependencies of the package, with the versions that work. */
const packages = [
  ...["api@1", "sdk-trace-base@2", "resources@2"],
  ...["exporter-trace-otlp-grpc@0.220", "otlp-exporter-base@0.220", "otlp-transformer@0.220"],
];

const packagesMissing = (found: string, cause?: Error): RefusedError =>
  new RefusedError(`an endpoint for OpenTelemetry is set, but its packages ${found}`, {
    remedy: `npm install ${packages.map((name) => `@opentelemetry/${name}`).join(" ")}`,
    cause,
  });

/** Selects the exporter by OTEL_EXPORTER_OTLP_PROTOCOL. The specification's default is http/protobuf. */
async function exporterFor(environment: Environment): Promise<SpanExporter> {
  const protocol =
    environment.OTEL_EXPORTER_OTLP_TRACES_PROTOCOL ?? environment.OTEL_EXPORTER_OTLP_PROTOCOL ?? "http/protobuf";
  if (protocol === "grpc") {
    const { OTLPTraceExporter } = await import("@opentelemetry/exporter-trace-otlp-grpc");
    return new OTLPTraceExporter();
  }
  const { OTLPExporterBase } = await import("@opentelemetry/otlp-exporter-base");
  const http = await import("@opentelemetry/otlp-exporter-base/node-http");
  const { JsonTraceSerializer, ProtobufTraceSerializer } = await import("@opentelemetry/otlp-transformer");
  const isJson = protocol === "http/json";
  const headers = { "content-type": isJson ? "application/json" : "application/x-protobuf" };
  // Deprecated in favour of complete exporters, but these install a second copy of the library.
  // eslint-disable-next-line @typescript-eslint/no-deprecated
  const options = http.convertLegacyHttpOptions({}, "TRACES", "v1/traces", headers);
  return new OTLPExporterBase(
    http.createOtlpHttpExportDelegate(options, isJson ? JsonTraceSerializer : ProtobufTraceSerializer),
  );
}
