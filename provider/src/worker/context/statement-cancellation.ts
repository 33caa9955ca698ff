import { cancelOpenStatements } from "../../postgres/connection/open-sessions.js";

const cancelEveryMs = 1000;

/** Cancels running statements once the signal aborts, so that a lock or an index build does not delay the stop. */
export async function withStatementCancellation<T>(
  signal: AbortSignal,
  steps: () => Promise<T>,
  databases?: readonly string[],
): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const unblock = (): void => {
    timer = setInterval(() => void cancelOpenStatements(databases), cancelEveryMs);
  };
  if (signal.aborted) unblock();
  else signal.addEventListener("abort", unblock, { once: true });
  try {
    return await steps();
  } finally {
    signal.removeEventListener("abort", unblock);
    clearInterval(timer);
  }
}
