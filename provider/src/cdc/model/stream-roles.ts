/** What the servers of a stream are called in messages, by their parts in the migration: a way back has them exchanged. */
export interface StreamRoles {
  readonly publisher: "source" | "target";
  readonly subscriber: "source" | "target";
  readonly stream: "migration" | "way back";
}

export const migrationRoles: StreamRoles = { publisher: "source", subscriber: "target", stream: "migration" };

export const rollbackRoles: StreamRoles = { publisher: "target", subscriber: "source", stream: "way back" };

export const rolesOf = ({ parts = migrationRoles }: { readonly parts?: StreamRoles | undefined }): StreamRoles => parts;
