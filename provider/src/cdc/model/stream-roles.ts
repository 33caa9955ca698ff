/** The names of a stream's servers in messages. The rollback replication has them exchanged. */
export interface StreamRoles {
  readonly publisher: "source" | "target";
  readonly subscriber: "source" | "target";
  readonly stream: "migration" | "rollback replication";
}

export const migrationRoles: StreamRoles = { publisher: "source", subscriber: "target", stream: "migration" };

export const rollbackRoles: StreamRoles = { publisher: "target", subscriber: "source", stream: "rollback replication" };

export const rolesOf = ({ parts = migrationRoles }: { readonly parts?: StreamRoles | undefined }): StreamRoles => parts;
