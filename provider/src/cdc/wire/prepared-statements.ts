/** Each prepared statement takes about ten kilobytes of the server's memory. */
const maxPrepared = 2000;
/** Statements of wide tables take 30 to 70 times their text: a statement with 1,000 columns takes a megabyte. */
const maxCharacters = 2 << 20;

/**
 * The prepared statements of one session, by their texts. Beyond a maximum number or total length, the least recently used
 * ones are evicted. After a failed statement the server skips the rest of a round trip. Therefore a statement counts as prepared
 * or closed only when the server has confirmed it.
 */
export class PreparedStatements {
  readonly #maxPrepared: number;
  readonly #maxCharacters: number;
  /** By text, the least recently used first. */
  readonly #names = new Map<string, string>();
  readonly #ready = new Set<string>();
  readonly #evicted = new Set<string>();
  #created = 0;
  /** Total length of the texts. */
  #characters = 0;

  constructor(prepared = maxPrepared, characters = maxCharacters) {
    this.#maxPrepared = prepared;
    this.#maxCharacters = characters;
  }

  /** Returns the statement's name, and the names of the statements that are evicted for it. */
  use(text: string): { readonly name: string; readonly evicted: readonly string[] } {
    const known = this.#names.get(text);
    const name = known ?? `pg_migration_${++this.#created}`;
    if (known === undefined) this.#characters += text.length;
    this.#names.delete(text);
    this.#names.set(text, name);
    const evicted: string[] = [];
    while (this.#names.size > 1 && this.#exceedsLimit()) evicted.push(this.#evictOldest());
    return { name, evicted };
  }

  #exceedsLimit(): boolean {
    return this.#names.size > this.#maxPrepared || this.#characters > this.#maxCharacters;
  }

  isReady(name: string): boolean {
    return this.#ready.has(name);
  }

  /** Evicted statements that the server has not confirmed as closed. */
  get evicted(): Iterable<string> {
    return this.#evicted;
  }

  parsed(name: string): void {
    this.#ready.add(name);
  }

  closed(name: string): void {
    this.#ready.delete(name);
    this.#evicted.delete(name);
  }

  #evictOldest(): string {
    const [text, name] = this.#names.entries().next().value!;
    this.#names.delete(text);
    this.#characters -= text.length;
    this.#evicted.add(name);
    return name;
  }
}
