import { createInterface } from "node:readline";
import { Writable } from "node:stream";
import { CanceledError, InvalidInputError } from "../../errors.js";
import { escapeControls } from "../../units/terminal-text.js";
import { writeMessage } from "../output/terminal.js";

/** Whether a user can answer questions. */
export const isTerminal = (): boolean => process.stdin.isTTY && process.stderr.isTTY;

/** Prompts for a secret without echo; undefined without a terminal. */
export async function promptSecret(question: string): Promise<string | undefined> {
  if (!isTerminal()) return undefined;
  const noEcho = new Writable({ write: (_chunk, _encoding, done) => done() });
  const answer = await readAnswer(question, noEcho);
  process.stderr.write("\n");
  return answer;
}

/**
 * Asks the user to confirm an irreversible action.
 *
 * @throws CanceledError if the user declines; InvalidInputError without a terminal
 */
export async function confirm(question: string, agreed: boolean): Promise<void> {
  if (agreed) return;
  if (!isTerminal())
    throw new InvalidInputError([{ property: "--yes", reason: `no terminal to confirm on (${question}); pass --yes` }]);
  const answer = await readAnswer(`${question} [y/N] `, process.stderr);
  if (!/^y(es)?$/i.test(answer.trim())) throw new CanceledError("nothing was changed: you declined");
}

/** A question and what its answer must be. */
export interface Question {
  readonly text: string;
  /** The answer if the user gives none. */
  readonly fallback?: string | undefined;
  /** Throws InvalidInputError for a wrong answer. */
  readonly check?: (answer: string) => unknown;
}

/** Asks until the answer is valid. @throws CanceledError if the user cancels */
export async function ask({ text, fallback, check }: Question): Promise<string> {
  for (;;) {
    const shown = fallback === undefined ? `${text}: ` : `${text} [${fallback}]: `;
    const answer = (await readAnswer(escapeControls(shown), process.stderr)).trim() || fallback;
    if (answer === undefined) continue;
    try {
      await check?.(answer);
      return answer;
    } catch (error) {
      if (!(error instanceof InvalidInputError)) throw error;
      for (const { reason } of error.failures) writeMessage(`  ${reason}`);
    }
  }
}

/** @param echo shows the typed characters */
function readAnswer(question: string, echo: NodeJS.WritableStream): Promise<string> {
  // Created before the question is printed: an immediate answer must not be echoed by the terminal.
  const readline = createInterface({ input: process.stdin, output: echo, terminal: true });
  if (echo !== process.stderr) process.stderr.write(question);
  return new Promise((resolve, reject) => {
    readline.once("SIGINT", () => readline.close());
    readline.once("close", () => reject(new CanceledError("nothing was changed: no answer")));
    readline.question(question, (answer) => {
      resolve(answer);
      readline.close();
    });
  });
}
