import { escapeControls, truncate } from "../../units/terminal-text.js";

/** A server's message may have megabytes, which would flood the terminal. */
const maxMessageLength = 8000;

/** Prints an answer on standard output. All output goes through here, so that no name can control the terminal. */
export function writeOutput(text: string): void {
  process.stdout.write(`${escapeControls(text)}\n`);
}

/** Prints a message on standard error. */
export function writeMessage(text: string): void {
  process.stderr.write(`${escapeControls(truncate(text, maxMessageLength))}\n`);
}

/** `pg-migration logs | head` closes the pipe early: the command ends, without an error. */
export function exitOnClosedPipe(): void {
  for (const stream of [process.stdout, process.stderr])
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EPIPE") throw error;
      process.exit();
    });
}
