import { createInterface } from "node:readline";
import { Writable } from "node:stream";
import { Canceled, InvalidInput } from "../errors.js";

const isTerminal = (): boolean => process.stdin.isTTY && process.stderr.isTTY;

/** Asks for a secret without showing what is typed; undefined where there is no terminal to ask at. */
export async function askSecret(question: string): Promise<string | undefined> {
  if (!isTerminal()) return undefined;
  process.stderr.write(question);
  const unseen = new Writable({ write: (_chunk, _encoding, done) => done() });
  const answer = await readAnswer("", unseen);
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

function readAnswer(question: string, output: NodeJS.WritableStream): Promise<string> {
  const readline = createInterface({ input: process.stdin, output, terminal: true });
  return new Promise((resolve, reject) => {
    readline.once("SIGINT", () => readline.close());
    readline.once("close", () => reject(new Canceled("nothing was changed: the question was not answered")));
    readline.question(question, (answer) => {
      resolve(answer);
      readline.close();
    });
  });
}
