import { readFileSync } from "node:fs";
import { z } from "zod";
import { InvalidInput, messageOf } from "../errors.js";
import { sslModeOf } from "./server-options.js";

const text = z.string().optional();
const flag = z
  .union([
    z.boolean(),
    z
      .string()
      .regex(/^(true|false)$/i)
      .transform((value) => value.toLowerCase() === "true"),
  ])
  .optional();

/** The keys of Azure's body, in lower case: its command reads them in any. */
const bodySchema = z.strictObject({
  migrationname: text,
  migrationmode: text,
  migrationoption: text,
  sourcetype: text,
  sourcedbserverresourceid: text,
  sourcedbserverfullyqualifieddomainname: text,
  targetdbserverfullyqualifieddomainname: text,
  sslmode: text,
  dbstomigrate: z.array(z.string()).optional(),
  overwritedbsintarget: flag,
  triggercutover: flag,
  tags: z.record(z.string(), z.string()).optional(),
  secretparameters: z
    .strictObject({
      admincredentials: z.strictObject({ sourceserverpassword: text, targetserverpassword: text }).optional(),
      sourceserverusername: text,
      targetserverusername: text,
    })
    .optional(),
  targetserverusername: text,
});

/** What a body says about a migration, in this package's words. */
export interface Body {
  readonly source: { host?: string; port?: number; user?: string; password?: string; sslMode?: string };
  readonly target: { host?: string; user?: string; password?: string };
  readonly inputs: Readonly<Record<string, unknown>>;
}

/** Reads `--properties`: Azure's JSON, with or without the `properties` around it. @throws InvalidInput */
export function readBody(file: string): Body {
  const json = readJson(file);
  const parsed = bodySchema.safeParse(lowerKeys(json));
  if (!parsed.success)
    throw new InvalidInput(
      parsed.error.issues.map((issue) => ({
        property: [file, ...issue.path.map(String)].join(" "),
        reason: issue.code === "unrecognized_keys" ? `unknown: ${issue.keys.join(", ")}` : issue.message,
      })),
    );
  return bodyOf(parsed.data);
}

function bodyOf(body: z.infer<typeof bodySchema>): Body {
  const address = serverOfResourceId(body.sourcedbserverresourceid);
  const secrets = body.secretparameters;
  const sslMode = sslModeOf(body.sslmode) ?? body.sslmode;
  return {
    source: defined({
      host: body.sourcedbserverfullyqualifieddomainname ?? address.host,
      port: address.port,
      user: secrets?.sourceserverusername ?? address.user,
      password: secrets?.admincredentials?.sourceserverpassword,
      sslMode: body.sslmode === undefined ? undefined : sslMode,
    }),
    target: defined({
      host: body.targetdbserverfullyqualifieddomainname,
      user: secrets?.targetserverusername ?? body.targetserverusername,
      password: secrets?.admincredentials?.targetserverpassword,
    }),
    inputs: defined({
      migrationName: body.migrationname,
      migrationMode: body.migrationmode,
      migrationOption: body.migrationoption,
      dbsToMigrate: body.dbstomigrate,
      overwriteDbsInTarget: body.overwritedbsintarget,
      triggerCutover: body.triggercutover,
    }),
  };
}

/** `host:port@user`, as Azure writes a server that is not its own. */
function serverOfResourceId(id: string | undefined): { host?: string; port?: number; user?: string } {
  const match = /^(.+?)(?::(\d+))?(?:@(.+))?$/.exec(id ?? "");
  if (!match || id?.startsWith("/")) return {};
  return defined({ host: match[1], port: match[2] === undefined ? undefined : Number(match[2]), user: match[3] });
}

function readJson(file: string): Record<string, unknown> {
  try {
    const json = z.record(z.string(), z.unknown()).parse(JSON.parse(readFileSync(file, "utf8")));
    const inner = Object.entries(json).find(([key]) => key.toLowerCase() === "properties")?.[1];
    return inner === undefined ? json : z.record(z.string(), z.unknown()).parse(inner);
  } catch (error) {
    const reason = error instanceof z.ZodError ? "is no JSON object" : messageOf(error);
    throw new InvalidInput([{ property: `--properties ${file}`, reason }]);
  }
}

function lowerKeys(value: unknown): unknown {
  if (Array.isArray(value) || typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key.toLowerCase(), lowerKeys(inner)]));
}

function defined<T extends object>(object: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}
