import { qualify, type RelationName } from "../../postgres/identifiers.js";
import type { Entry } from "../sql/toc-entries.js";

export interface KeptDump {
  readonly entries: readonly Entry[];
  /** The tool that read them, and its version. */
  readonly tool: string;
  /** Tables that were omitted. */
  readonly without: readonly RelationName[];
  /** `readCatalogueRows` before the dump. */
  readonly catalogueRows: string;
}

/** Larger dumps would need much memory until the copy starts. */
const maxCharacters = 16_000_000;

/** Keeps the dumps of the validation for the copy, so that an unchanged schema is read once. */
export class KeptDumps {
  readonly #dumps = new Map<string, KeptDump>();

  /** Keeps a dump unless all together would be too large. */
  keep(database: string, dump: KeptDump): void {
    this.#dumps.delete(database);
    const all = [...this.#dumps.values(), dump].flatMap(({ entries }) => entries);
    if (all.reduce((sum, { sql }) => sum + sql.length, 0) <= maxCharacters) this.#dumps.set(database, dump);
  }

  /** Returns a dump that omits the same tables, and forgets the dump of the database. */
  take(database: string, without: readonly RelationName[]): KeptDump | undefined {
    const dump = this.#dumps.get(database);
    this.#dumps.delete(database);
    return dump && namesOf(dump.without) === namesOf(without) ? dump : undefined;
  }
}

const namesOf = (tables: readonly RelationName[]): string =>
  tables
    .map(({ schema, name }) => qualify(schema, name))
    .sort()
    .join();
