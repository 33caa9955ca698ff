export interface Person {
  readonly gender: "F" | "M";
  readonly given: string;
  readonly middle: string | null;
  readonly family: string;
}
