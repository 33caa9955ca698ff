/** Each takes some ten kilobytes of the server's memory. */
const mostPrepared = 2000;

/**
 * The statements that one session has prepared, by their texts. Beyond a number the one that was used longest ago is given
 * up. What is sent may be skipped by the server, behind one that fails: only what it has answered counts as done.
 */
export class PreparedStatements {
  readonly #most: number;
  /** By text, the one used longest ago first. */
  readonly #names = new Map<string, string>();
  readonly #ready = new Set<string>();
  readonly #givenUp = new Set<string>();
  #given = 0;

  constructor(most = mostPrepared) {
    this.#most = most;
  }

  /** The statement's name, and that of the one which has to be closed for it. */
  use(text: string): { readonly name: string; readonly insteadOf: string | undefined } {
    const name = this.#names.get(text) ?? `pg_migration_${++this.#given}`;
    this.#names.delete(text);
    this.#names.set(text, name);
    return { name, insteadOf: this.#names.size > this.#most ? this.#giveUpOldest() : undefined };
  }

  isReady(name: string): boolean {
    return this.#ready.has(name);
  }

  /** Those that are not known to be closed. */
  get givenUp(): Iterable<string> {
    return this.#givenUp;
  }

  parsed(name: string): void {
    this.#ready.add(name);
  }

  closed(name: string): void {
    this.#ready.delete(name);
    this.#givenUp.delete(name);
  }

  #giveUpOldest(): string {
    const [text, name] = this.#names.entries().next().value!;
    this.#names.delete(text);
    this.#givenUp.add(name);
    return name;
  }
}
