import type { EventEmitter } from "node:events";

/** Texts of a server's error that say nothing about the login. */
const kept: ReadonlySet<string> = new Set(["name", "severity", "code"]);

/**
 * Hides errors that repeat the password. Only a server that asks for it in cleartext knows it, and errors are printed, logged and
 * recorded. The whole text is hidden: a part of it would show where the password was.
 */
export function hidePassword(connection: EventEmitter, password: string): void {
  if (password === "") return;
  connection.once("authenticationCleartextPassword", () =>
    // Before the handlers of `pg`, which pass the error on.
    connection.prependListener("errorMessage", (error: Error) => {
      if (textsOf(error).some(([, text]) => text.includes(password))) hideTexts(error);
    }),
  );
}

const textsOf = (error: Error): [string, string][] =>
  Object.getOwnPropertyNames(error)
    .filter((field) => !kept.has(field))
    .map((field): [string, unknown] => [field, (error as unknown as Record<string, unknown>)[field]])
    .filter((entry): entry is [string, string] => typeof entry[1] === "string");

function hideTexts(error: Error): void {
  for (const [field] of textsOf(error)) Object.assign(error, { [field]: undefined });
  error.message = "the server's message contains the password, and is not repeated";
  error.stack = `${error.name}: ${error.message}`;
}
