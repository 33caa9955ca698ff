import { escapeIdentifier, escapeLiteral } from "pg";

/** A name as an SQL identifier, always in quotes: the only way names enter statements. */
export const quoteIdentifier = (name: string): string => escapeIdentifier(name);

/** A text as an SQL literal, for statements that take no parameters (utility and replication commands). */
export const quoteLiteral = (text: string): string => escapeLiteral(text);

/** `schema.name`, both quoted. */
export const qualify = (schema: string, name: string): string => `${quoteIdentifier(schema)}.${quoteIdentifier(name)}`;

export interface RelationName {
  readonly schema: string;
  readonly name: string;
}
