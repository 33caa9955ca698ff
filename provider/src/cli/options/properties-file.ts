import { readFileSync } from "node:fs";
import { z } from "zod";
import { inputsFromArmBody, parseResourceId, serverKeys } from "../../inputs/arm-body.js";
import { InvalidInputError, messageOf } from "../../errors.js";
import { sslModeOf } from "./server-options.js";

const text = z.string().optional();

/** The keys of the two servers. The other keys are checked with the inputs. */
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

export interface ServerProperties {
  readonly host?: string | undefined;
  readonly port?: number | undefined;
  readonly user?: string | undefined;
  readonly password?: string | undefined;
  readonly sslMode?: string | undefined;
}

/** A properties file: the servers as far as it names them, and all other inputs. */
export interface MigrationBody {
  readonly source: ServerProperties;
  readonly target: ServerProperties;
  readonly inputs: Readonly<Record<string, unknown>>;
}

/** Reads `--properties`: Azure's JSON, with or without the outer `properties`, keys in any case. @throws InvalidInputError */
export function readPropertiesFile(file: string): MigrationBody {
  const inputs = inputsFromArmBody(readJson(file));
  const servers = serversSchema.safeParse(inputs);
  if (!servers.success)
    throw new InvalidInputError(
      servers.error.issues.map(({ path, message }) => ({ property: `${file} ${path.join(".")}`, reason: message })),
    );
  const isServerKey = (key: string): boolean => serverKeys.some((known) => known === key);
  return {
    source: serverOf(servers.data, "source"),
    target: serverOf(servers.data, "target"),
    inputs: Object.fromEntries(Object.entries(inputs).filter(([key]) => !isServerKey(key))),
  };
}

function serverOf(body: z.infer<typeof serversSchema>, side: "source" | "target"): ServerProperties {
  const id = body[`${side}DbServerResourceId`];
  const named = id === undefined ? {} : parseResourceId(id);
  if (!named)
    throw new InvalidInputError([
      { property: `${side}DbServerResourceId`, reason: "expected host:port@user or the Azure resource ID of a server" },
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
    const reason = error instanceof z.ZodError ? "must be a JSON object" : messageOf(error);
    throw new InvalidInputError([{ property: `--properties ${file}`, reason }]);
  }
}
