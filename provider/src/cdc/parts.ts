/** What the servers of a stream are called in messages, by their parts in the migration: a way back has them exchanged. */
export interface Parts {
  readonly sender: "source" | "target";
  readonly receiver: "source" | "target";
  readonly stream: "migration" | "way back";
}

export const migrationParts: Parts = { sender: "source", receiver: "target", stream: "migration" };

export const wayBackParts: Parts = { sender: "target", receiver: "source", stream: "way back" };

export const partsOf = ({ parts = migrationParts }: { readonly parts?: Parts | undefined }): Parts => parts;
