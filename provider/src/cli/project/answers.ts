import { z } from "zod";
import { InvalidInputError, type InputFailure } from "../../errors.js";
import { anyCase } from "../../inputs/any-case.js";
import type { Endpoint } from "../../postgres/connection/endpoint.js";
import { wantedDatabases } from "../migration/wanted-databases.js";
import { ask, isTerminal } from "../options/prompt.js";
import {
  resolveSource,
  targetServer,
  type Server,
  type SourceFlags,
  type TargetFlags,
} from "../options/server-options.js";
import { writeMessage } from "../output/terminal.js";
import {
  describeSource,
  inspectSource,
  isReadyForOnline,
  onlineObstacle,
  type InspectedSource,
} from "./inspect-source.js";
import { askForSource, askForTarget } from "./server-questions.js";
import type { Project } from "./template.js";

type Mode = Project["migrationMode"];

export interface AnswerFlags extends SourceFlags, TargetFlags {
  readonly yes?: boolean;
  readonly databases?: readonly string[];
  readonly migrationMode?: Mode;
}

/** All that a project needs, except for its names. */
export interface Answers extends Omit<Project, "name" | "stack"> {
  /** With its password. */
  readonly source: Endpoint;
  /** What selects the target. */
  readonly targetFlags: TargetFlags;
}

/** Whether the user answers what the options leave open. */
export const mayAsk = ({ yes }: AnswerFlags): boolean => !yes && isTerminal();

/**
 * Answers from options and the environment, and on a terminal from the user. Shows what the source contains.
 *
 * @throws InvalidInputError naming everything that is missing
 */
export const readAnswers = (flags: AnswerFlags): Promise<Answers> =>
  mayAsk(flags) ? askForAnswers(flags) : givenAnswers(flags);

async function askForAnswers(flags: AnswerFlags): Promise<Answers> {
  const source = withPassword(await resolveSource(await askForSource(flags)), "--source-auth");
  const inspected = await inspectAndShow(source, flags.databases);
  const databases = flags.databases ?? (await askForDatabases(source));
  if (flags.databases) await wantedDatabases(source, databases);
  const migrationMode = flags.migrationMode ?? (await askForMode(inspected));
  checkMode(migrationMode, inspected);
  const targetFlags = await askForTarget(flags);
  return { source, target: targetOf(targetFlags), databases, migrationMode, targetFlags };
}

async function givenAnswers(flags: AnswerFlags): Promise<Answers> {
  const failures: InputFailure[] = [];
  const given = async <T>(read: () => T): Promise<Awaited<T> | undefined> => {
    try {
      return await read();
    } catch (error) {
      if (!(error instanceof InvalidInputError)) throw error;
      failures.push(...error.failures);
      return undefined;
    }
  };
  const source = await given(async () => withPassword(await resolveSource(flags), "--source-auth"));
  const target = await given(() => targetOf(flags));
  const { databases } = flags;
  if (!databases) failures.push({ property: "--databases", reason: "missing; pass names or patterns" });
  if (!source || !target || !databases) throw new InvalidInputError(failures);
  const inspected = await inspectAndShow(source, databases);
  await wantedDatabases(source, databases);
  const migrationMode = flags.migrationMode ?? proposedMode(inspected);
  checkMode(migrationMode, inspected);
  return { source, target, databases, migrationMode, targetFlags: flags };
}

const tokens = "the template has passwords; for tokens, set auth in its program: see docs/passwordless.md";

function withPassword(server: Endpoint, property: string): Endpoint {
  if (server.auth) throw new InvalidInputError([{ property, reason: tokens }]);
  return server;
}

function targetOf(flags: TargetFlags): Server {
  const { server, auth } = targetServer(flags);
  if (auth) throw new InvalidInputError([{ property: "--auth", reason: tokens }]);
  return server;
}

async function inspectAndShow(source: Endpoint, databases?: readonly string[]): Promise<InspectedSource> {
  const inspected = await inspectSource(source, databases);
  writeMessage(describeSource(inspected));
  return inspected;
}

const askForDatabases = async (source: Endpoint): Promise<readonly string[]> =>
  listOf(
    await ask({
      text: "Databases: names and patterns, separated by commas, or a JSON list",
      fallback: "*",
      check: (answer) => wantedDatabases(source, listOf(answer)),
    }),
  );

/** Names with commas need the form of JSON. */
function listOf(answer: string): string[] {
  if (!answer.startsWith("["))
    return answer
      .split(",")
      .map((entry) => entry.trim())
      .filter((entry) => entry !== "");
  const { data } = jsonList.safeParse(answer);
  if (data) return data;
  throw new InvalidInputError([{ property: "--databases", reason: 'expected a list such as ["crm", "app_*"]' }]);
}

const jsonList = z
  .string()
  .transform((text, context) => {
    try {
      return JSON.parse(text) as unknown;
    } catch {
      context.addIssue({ code: "custom" });
      return z.NEVER;
    }
  })
  .pipe(z.array(z.string()));

const modeSchema = anyCase(["Offline", "Online"]);

const proposedMode = (inspected: InspectedSource): Mode => (isReadyForOnline(inspected) ? "Online" : "Offline");

async function askForMode(inspected: InspectedSource): Promise<Mode> {
  const answer = await ask({
    text: "Migration mode: Offline, or Online for applications that keep writing",
    fallback: proposedMode(inspected),
    check: (text) => {
      const { data } = modeSchema.safeParse(text);
      if (!data) throw new InvalidInputError([{ property: "--migration-mode", reason: "expected Offline or Online" }]);
      checkMode(data, inspected);
    },
  });
  return modeSchema.parse(answer);
}

function checkMode(mode: Mode, inspected: InspectedSource): void {
  const reason = mode === "Online" ? onlineObstacle(inspected) : undefined;
  if (reason !== undefined) throw new InvalidInputError([{ property: "--migration-mode", reason }]);
}
