import { readFileSync } from "node:fs";
import { z } from "zod";
import { inputsFromArmBody } from "../../inputs/arm-body.js";
import { InvalidInputError, messageOf } from "../../errors.js";
import { inputsSchema } from "../../inputs/inputs.js";
import {
  givenServer,
  resourceIdForm,
  serverKeys,
  twoPasswords,
  type GivenServer,
  type Side,
} from "../../inputs/resolve-servers.js";

/** Files with a migration in Azure's format. */
export interface BodyFlags {
  readonly properties?: string;
  readonly parameters?: string;
}

/** A properties file: the servers as far as it names them, and all other inputs. */
export interface MigrationBody {
  readonly source: GivenServer;
  /** `sslMode` only if the body has `target.sslMode`. */
  readonly target: GivenServer;
  /** The mode for both servers. */
  readonly sslMode?: GivenServer["sslMode"];
  readonly inputs: Readonly<Record<string, unknown>>;
}

const serverMask = Object.fromEntries(serverKeys.map((key) => [key, true])) as Record<
  (typeof serverKeys)[number],
  true
>;

/** The keys of the two servers. The other keys are checked with the inputs. */
const serversSchema = inputsSchema.pick(serverMask).partial();

/** Reads `--properties` and `--parameters`: any artefact that `inputsFromArmBody` accepts. @throws InvalidInputError */
export function readMigrationBody({ properties, parameters }: BodyFlags): MigrationBody {
  if (properties === undefined) return { source: {}, target: {}, inputs: {} };
  const values = parameters === undefined ? {} : readJson("--parameters", parameters);
  const all = Object.entries(inputsFromArmBody(readJson("--properties", properties), values));
  const isServerKey = ([key]: readonly [string, unknown]): boolean => Object.hasOwn(serverMask, key);
  const inputs = Object.fromEntries(all.filter((entry) => !isServerKey(entry)));
  const servers = serversSchema.safeParse(Object.fromEntries(all.filter(isServerKey)));
  if (!servers.success)
    throw new InvalidInputError(
      servers.error.issues.map(({ path, message }) => ({
        property: `${properties} ${path.join(".")}`,
        reason: message,
      })),
    );
  const { sslMode, ...withoutMode } = servers.data;
  return { source: serverOf(servers.data, "source"), target: serverOf(withoutMode, "target"), sslMode, inputs };
}

function serverOf(servers: z.output<typeof serversSchema>, side: Side): GivenServer {
  const server = givenServer(servers, side);
  if (!server) throw new InvalidInputError([{ property: `${side}DbServerResourceId`, reason: resourceIdForm }]);
  if (server.password === undefined || server.auth === undefined) return server;
  throw new InvalidInputError([{ property: `${side}.auth`, reason: twoPasswords }]);
}

function readJson(option: string, file: string): Record<string, unknown> {
  try {
    return z.record(z.string(), z.unknown()).parse(JSON.parse(readFileSync(file, "utf8")));
  } catch (error) {
    // The parser's message repeats a part of the text, which may contain a password.
    const reason =
      error instanceof z.ZodError
        ? "must be a JSON object"
        : error instanceof SyntaxError
          ? "invalid JSON"
          : messageOf(error);
    throw new InvalidInputError([{ property: `${option} ${file}`, reason }]);
  }
}
