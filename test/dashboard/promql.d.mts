export interface PromQlNames {
  readonly metrics: readonly string[];
  readonly labels: readonly string[];
  /** Labels that an aggregation keeps. */
  readonly grouping: readonly string[];
}

export function namesIn(expr: string): PromQlNames;
