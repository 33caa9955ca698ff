/** An entry of a list with the line where it starts, or what is wrong there. */
export type ListLine =
  | { readonly line: number; readonly values: Readonly<Record<string, unknown>> }
  | { readonly line: number; readonly problem: string };
