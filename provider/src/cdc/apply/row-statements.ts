import { BoundValues, type Parameter } from "../wire/bind-message.js";
import type { TableMapping } from "../binding/table-mapping.js";
import { carriedType } from "../binding/carried-type.js";
import type { Statement } from "../wire/pipelined-queries.js";
import type { RowStates } from "../batch/row-states.js";
import type { Operation, Rows } from "./apply-statements.js";
import type { ValueForm } from "../model/value-form.js";

/** Of more tables and kinds of changes than these the texts are written anew now and then. */
const mostTexts = 5000;

interface RowStatement {
  readonly text: string;
  readonly parameters: readonly Parameter[];
}

/** Statements for single rows, whose values are their parameters: nothing else has to be there for them. */
export class RowStatements {
  readonly #form: ValueForm;
  readonly #made = new Map<TableMapping, Map<string, RowStatement>>();
  #count = 0;

  /** @param form in which the rows' values come */
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
    if (this.#count >= mostTexts) {
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

/** Numbers the values that a statement asks for, each of the type below the column's domains and without its modifier. */
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
