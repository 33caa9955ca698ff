import { InvalidInputError } from "../../errors.js";
import { hostSchema, serverSchema } from "../../inputs/server.js";
import { ask, type Question } from "../options/prompt.js";
import { modes, sslModeOf, type SourceFlags, type TargetFlags } from "../options/server-options.js";

/** Asks for what neither options nor the environment say about the source. A service says everything. */
export async function askForSource(flags: SourceFlags): Promise<SourceFlags> {
  const { env } = process;
  if (flags.sourceService ?? env.PG_MIGRATION_SOURCE_SERVICE) return flags;
  const answer = answersFrom("PG_MIGRATION_SOURCE_");
  return {
    ...flags,
    sourceHost: await answer(flags.sourceHost, "HOST", { text: "Host of the source", check: checkHost }),
    sourcePort: await answer(flags.sourcePort, "PORT", port("source")),
    sourceUser: await answer(flags.sourceUser, "USER", { text: "Role on the source" }),
    sourceSslmode: await answer(flags.sourceSslmode, "SSLMODE", sslMode("source")),
  };
}

/** As {@link askForSource}. The host may also be the name or the resource ID of a flexible server. */
export async function askForTarget(flags: TargetFlags): Promise<TargetFlags> {
  const { env } = process;
  if (flags.service ?? env.PGSERVICE) return flags;
  const answer = answersFrom("PG");
  const text = "Target: host, or name or resource ID of a flexible server";
  const isKnown = flags.host !== undefined || Boolean(env.PGHOST);
  const { serverName = isKnown ? undefined : await ask({ text }) } = flags;
  return {
    ...flags,
    ...(serverName === undefined ? {} : { serverName }),
    port: await answer(flags.port, "PORT", port("target")),
    user: await answer(flags.user, "USER", { text: "Role on the target" }),
    sslmode: await answer(flags.sslmode, "SSLMODE", sslMode("target")),
  };
}

const answersFrom =
  (prefix: string) =>
  async (flag: string | undefined, variable: string, question: Question): Promise<string> =>
    flag ?? (process.env[prefix + variable] || (await ask(question)));

type Side = "source" | "target";

const port = (side: Side): Question => ({
  text: `Port of the ${side}`,
  fallback: "5432",
  check: (answer) => check(serverSchema.shape.port.safeParse(answer).error),
});

const sslMode = (side: Side): Question => ({
  text: `TLS mode of the ${side}: ${modes}`,
  fallback: "prefer",
  check: (answer) => check(sslModeOf(answer) ? undefined : { issues: [{ message: `expected ${modes}` }] }),
});

const checkHost = (answer: string): void => check(hostSchema.safeParse(answer).error);

/** Throws what a schema found. */
function check(error: { readonly issues: readonly { readonly message: string }[] } | undefined): void {
  if (!error) return;
  throw new InvalidInputError(error.issues.map(({ message }) => ({ property: "answer", reason: message })));
}
