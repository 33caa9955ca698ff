import { cancelOpenStatements } from "../../postgres/connection/open-sessions.js";

const cancelEveryMs = 1000;

/** Once told to stop, cancels the statements that still run, so that no lock and no index build holds the steps up. */
export async function unblocked<T>(
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
