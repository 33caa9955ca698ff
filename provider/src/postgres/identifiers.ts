import { escapeIdentifier, escapeLiteral } from "pg";

/** Quotes a name as an SQL identifier. Statements contain names only in this form. */
export const quoteIdentifier = (name: string): string => escapeIdentifier(name);

/** Quotes a text as an SQL literal, for statements without parameters (utility and replication commands). */
export const quoteLiteral = (text: string): string => escapeLiteral(text);

/** `schema.name`, both quoted. */
export const qualify = (schema: string, name: string): string => `${quoteIdentifier(schema)}.${quoteIdentifier(name)}`;

const maxNameBytes = 63;
const temporarySuffix = " (renamed)";

/** A name for an object until another one has left its new name. The server would cut off the end of a longer one. */
export function temporaryName(name: string): string {
  const bytes = Buffer.from(name).subarray(0, maxNameBytes - temporarySuffix.length);
  return `${bytes.toString().replace(/\uFFFD+$/, "")}${temporarySuffix}`;
}

export interface RelationName {
  readonly schema: string;
  readonly name: string;
}

/** Identifies a relation, or another object with a schema, in maps and in the records. */
export const relationKey = ({ schema, name }: RelationName): string => JSON.stringify([schema, name]);

/** Quotes the name of a setting. Settings of extensions have a prefix: `pgaudit.log`. */
export const quoteSettingName = (name: string): string => name.split(".").map(quoteIdentifier).join(".");
