/** Each takes some ten kilobytes of the server's memory. */
const mostPrepared = 2000;
/** Those of wide tables take 30 to 70 times their text: one of 1,000 columns takes a megabyte. */
const mostCharacters = 2 << 20;

/**
 * The statements that one session has prepared, by their texts. Beyond a number, or a length, those that were used longest
 * ago are given up. What is sent may be skipped by the server, behind one that fails: only what it has answered counts as
 * done.
 */
export class PreparedStatements {
  readonly #most: number;
  readonly #mostCharacters: number;
  /** By text, the one used longest ago first. */
  readonly #names = new Map<string, string>();
  readonly #ready = new Set<string>();
  readonly #retriesExhausted = new Set<string>();
  #given = 0;
  /** Of all the texts. */
  #characters = 0;

  constructor(most = mostPrepared, characters = mostCharacters) {
    this.#most = most;
    this.#mostCharacters = characters;
  }

  /** The statement's name, and those of the ones which have to be closed for it. */
  use(text: string): { readonly name: string; readonly insteadOf: readonly string[] } {
    const known = this.#names.get(text);
    const name = known ?? `pg_migration_${++this.#given}`;
    if (known === undefined) this.#characters += text.length;
    this.#names.delete(text);
    this.#names.set(text, name);
    const insteadOf: string[] = [];
    while (this.#names.size > 1 && this.#areTooMany()) insteadOf.push(this.#giveUpOldest());
    return { name, insteadOf };
  }

  #areTooMany(): boolean {
    return this.#names.size > this.#most || this.#characters > this.#mostCharacters;
  }

  isReady(name: string): boolean {
    return this.#ready.has(name);
  }

  /** Those that are not known to be closed. */
  get retriesExhausted(): Iterable<string> {
    return this.#retriesExhausted;
  }

  parsed(name: string): void {
    this.#ready.add(name);
  }

  closed(name: string): void {
    this.#ready.delete(name);
    this.#retriesExhausted.delete(name);
  }

  #giveUpOldest(): string {
    const [text, name] = this.#names.entries().next().value!;
    this.#names.delete(text);
    this.#characters -= text.length;
    this.#retriesExhausted.add(name);
    return name;
  }
}
