import { readFileSync } from "node:fs";
import { z } from "zod";
import { inputsFromArmBody, parseResourceId, serverKeys } from "../../inputs/arm-body.js";
import { InvalidInput, messageOf } from "../../errors.js";
import { sslModeOf } from "./server-options.js";

const text = z.string().optional();

/** What a body says about the two servers; all else is for the inputs' own check. */
const serversSchema = z.looseObject({
  sourceDbServerResourceId: text,
  sourceDbServerFullyQualifiedDomainName: text,
  targetDbServerResourceId: text,
  targetDbServerFullyQualifiedDomainName: text,
  sslMode: text,
  secretParameters: z
    .looseObject({
      adminCredentials: z.looseObject({ sourceServerPassword: text, targetServerPassword: text }).optional(),
      sourceServerUsername: text,
      targetServerUsername: text,
    })
    .optional(),
  sourceServerUsername: text,
  targetServerUsername: text,
});

export interface BodyServer {
  readonly host?: string | undefined;
  readonly port?: number | undefined;
  readonly user?: string | undefined;
  readonly password?: string | undefined;
  readonly sslMode?: string | undefined;
}

/** What a body says about a migration: its servers, as far as it names them, and all other inputs. */
export interface Body {
  readonly source: BodyServer;
  readonly target: BodyServer;
  readonly inputs: Readonly<Record<string, unknown>>;
}

/** Reads `--properties`: Azure's JSON, with or without the `properties` around it, keys in any case. @throws InvalidInput */
export function readBody(file: string): Body {
  const inputs = inputsFromArmBody(readJson(file));
  const servers = serversSchema.safeParse(inputs);
  if (!servers.success)
    throw new InvalidInput(
      servers.error.issues.map(({ path, message }) => ({ property: `${file} ${path.join(".")}`, reason: message })),
    );
  const isServerKey = (key: string): boolean => serverKeys.some((known) => known === key);
  return {
    source: serverOf(servers.data, "source"),
    target: serverOf(servers.data, "target"),
    inputs: Object.fromEntries(Object.entries(inputs).filter(([key]) => !isServerKey(key))),
  };
}

function serverOf(body: z.infer<typeof serversSchema>, side: "source" | "target"): BodyServer {
  const id = body[`${side}DbServerResourceId`];
  const named = id === undefined ? {} : parseResourceId(id);
  if (!named)
    throw new InvalidInput([
      { property: `${side}DbServerResourceId`, reason: "write host:port@user, or the Azure resource id of a server" },
    ]);
  return {
    host: body[`${side}DbServerFullyQualifiedDomainName`] ?? named.host,
    port: named.port,
    user: body.secretParameters?.[`${side}ServerUsername`] ?? body[`${side}ServerUsername`] ?? named.user,
    password: body.secretParameters?.adminCredentials?.[`${side}ServerPassword`],
    sslMode: body.sslMode === undefined ? undefined : (sslModeOf(body.sslMode) ?? body.sslMode),
  };
}

function readJson(file: string): Record<string, unknown> {
  try {
    return z.record(z.string(), z.unknown()).parse(JSON.parse(readFileSync(file, "utf8")));
  } catch (error) {
    const reason = error instanceof z.ZodError ? "is no JSON object" : messageOf(error);
    throw new InvalidInput([{ property: `--properties ${file}`, reason }]);
  }
}
