import { createInterface } from "node:readline";
import { Writable } from "node:stream";
import { Canceled, InvalidInput } from "../../errors.js";

const isTerminal = (): boolean => process.stdin.isTTY && process.stderr.isTTY;

/** Asks for a secret without showing what is typed; undefined where there is no terminal to ask at. */
export async function askSecret(question: string): Promise<string | undefined> {
  if (!isTerminal()) return undefined;
  const unseen = new Writable({ write: (_chunk, _encoding, done) => done() });
  const answer = await readAnswer(question, unseen);
  process.stderr.write("\n");
  return answer;
}

/**
 * Has a person agree to what cannot be taken back.
 *
 * @throws Canceled when they do not; InvalidInput where nobody can be asked
 */
export async function confirm(question: string, agreed: boolean): Promise<void> {
  if (agreed) return;
  if (!isTerminal())
    throw new InvalidInput([{ property: "--yes", reason: `${question} Nobody can be asked here: add --yes to agree` }]);
  const answer = await readAnswer(`${question} [y/N] `, process.stderr);
  if (!/^y(es)?$/i.test(answer.trim())) throw new Canceled("nothing was changed: you did not agree");
}

/** @param echo where what is typed is shown */
function readAnswer(question: string, echo: NodeJS.WritableStream): Promise<string> {
  // Before the question: whoever answers at once must not find the terminal showing what they type.
  const readline = createInterface({ input: process.stdin, output: echo, terminal: true });
  if (echo !== process.stderr) process.stderr.write(question);
  return new Promise((resolve, reject) => {
    readline.once("SIGINT", () => readline.close());
    readline.once("close", () => reject(new Canceled("nothing was changed: the question was not answered")));
    readline.question(question, (answer) => {
      resolve(answer);
      readline.close();
    });
  });
}
