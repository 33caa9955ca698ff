import { BoundValues, type Parameter } from "../wire/bind-message.js";
import type { TableMapping } from "../binding/table-mapping.js";
import { carriedType } from "../binding/carried-type.js";
import type { Statement } from "../wire/pipelined-queries.js";
import type { RowStates } from "../batch/row-states.js";
import type { Operation, Rows } from "./apply-statements.js";
import type { ValueForm } from "../model/value-form.js";

/** When this many texts are cached, the cache is cleared. */
const maxTexts = 5000;

interface RowStatement {
  readonly text: string;
  readonly parameters: readonly Parameter[];
}

/** Statements for single rows. The values are parameters, so no staging table is needed. */
export class RowStatements {
  readonly #form: ValueForm;
  readonly #made = new Map<TableMapping, Map<string, RowStatement>>();
  #count = 0;

  /** @param form the form of the rows' values */
  constructor(form: ValueForm) {
    this.#form = form;
  }

  statement(binding: TableMapping, operation: Operation, states: RowStates): Statement {
    const { text, parameters } = this.#of(binding, operation);
    return { text, bound: new BoundValues(this.#form, parameters, states), prepared: true };
  }

  #of(binding: TableMapping, { name, statement }: Operation): RowStatement {
    const known = this.#made.get(binding)?.get(name);
    if (known) return known;
    if (this.#count >= maxTexts) {
      this.#made.clear();
      this.#count = 0;
    }
    const parameters = new Parameters(binding);
    const made: RowStatement = { text: statement(parameters), parameters: parameters.list };
    const ofTable = this.#made.get(binding) ?? new Map<string, RowStatement>();
    this.#made.set(binding, ofTable.set(name, made));
    this.#count++;
    return made;
  }
}

/** Numbers the parameters of a statement. Each has the column's base type: without domains and without a type modifier. */
class Parameters implements Rows {
  readonly from = undefined;
  readonly list: Parameter[] = [];
  readonly #binding: TableMapping;
  readonly #texts = new Map<string, string>();

  constructor(binding: TableMapping) {
    this.#binding = binding;
  }

  readonly newValue = (field: number): string => this.#text({ of: "row", field });

  readonly oldValue = (field: number): string => this.#text({ of: "old", field });

  #text(parameter: Parameter): string {
    const key = `${parameter.of} ${parameter.field}`;
    const known = this.#texts.get(key);
    if (known !== undefined) return known;
    this.list.push(parameter);
    const text = `$${this.list.length}::${carriedType(this.#binding.columns[parameter.field]!)}`;
    this.#texts.set(key, text);
    return text;
  }
}
