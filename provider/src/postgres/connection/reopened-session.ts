import type { Client } from "pg";

/** A session that is opened at its first use, and again at the next use after an error. For checks that run repeatedly. */
export class ReopenedSession {
  #session: Client | undefined;

  constructor(readonly open: () => Promise<Client>) {}

  /** @throws the error of `open` or of `run`; the session is then closed */
  async use<T>(run: (session: Client) => Promise<T>): Promise<T> {
    try {
      this.#session ??= await this.open();
      return await run(this.#session);
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    const session = this.#session;
    this.#session = undefined;
    await session?.end().catch(() => undefined);
  }
}
