import { randomUUID } from "node:crypto";
import type { RecordOwner } from "../../store/record-owner.js";
import { tokenWithin, urnWithin, type Properties } from "../state.js";

/** The resource with these inputs or outputs as the owner of a record. It keeps an existing token. */
export const ownerFor = (properties: Properties): RecordOwner => {
  const urn = urnWithin(properties);
  return {
    token: tokenWithin(properties) ?? randomUUID(),
    ...(urn === undefined ? {} : { urn }),
    since: new Date().toISOString(),
    isInState: tokenWithin(properties) !== undefined,
  };
};

/**
 * Whether a record belongs to the resource with these outputs. A state without a token, from an earlier version, is
 * compared by its URN. Without a URN, it owns no record of another resource. The command may change any record for its user.
 */
export function owns(outputs: Properties, owner: RecordOwner | undefined): boolean {
  if (!owner) return true;
  const token = tokenWithin(outputs);
  if (token !== undefined) return token === owner.token;
  return isOfCommand(outputs) || owner.urn === undefined || urnWithin(outputs) === owner.urn;
}

/** Pulumi adds its provider to the outputs of every resource. */
const isOfCommand = (outputs: Properties): boolean =>
  urnWithin(outputs) === undefined && outputs.__provider === undefined;

/** Whether a record names this resource as its owner. */
export const hasSameUrn = (outputs: Properties, owner: RecordOwner | undefined): boolean =>
  owner?.urn !== undefined && owner.urn === urnWithin(outputs);

/** Whether `owner` is the same resource, and Pulumi was killed before it could store the token. */
export const isInterruptedCreate = (owner: RecordOwner | undefined, creator: RecordOwner): boolean =>
  owner?.urn !== undefined && owner.urn === creator.urn && !owner.isInState;

/**
 * Whether a new resource may adopt an unfinished record without confirmation. It may adopt its own record, after a lost
 * state or a forced replacement. It may also adopt a record of another resource in the same stack, after a new name or
 * parent, and a record of the command.
 */
export function mayTakeOver(owner: RecordOwner | undefined, creator: RecordOwner): boolean {
  if (owner?.urn === undefined || owner.urn === creator.urn) return true;
  // Two resources of one program with the same name are created at the same time: that is a mistake.
  return creator.urn !== undefined && stackOf(owner.urn) === stackOf(creator.urn) && owner.isInState;
}

/** `the resource crm of stack prod (project shop)` */
export function describeOwner(owner: RecordOwner | undefined): string {
  if (owner?.urn === undefined) return "the pg-migration command";
  const [prefix = "", project, , ...name] = owner.urn.split("::");
  return `the resource ${name.join("::")} of stack ${prefix.replace("urn:pulumi:", "")} (project ${project})`;
}

/**
 * The step for a resource whose migration has another owner, which may have been added by mistake. The same resource owns it
 * with another token if it was created again since this state.
 */
export const formerOwnerRemedy = (outputs: Properties, owner: RecordOwner | undefined): string =>
  hasSameUrn(outputs, owner)
    ? "this state is older than the migration: restore the newest state, or delete this resource from the state, " +
      "then pulumi up, which adopts the migration"
    : removalRemedy(owner);

const removalRemedy = (owner: RecordOwner | undefined): string =>
  `remove this resource from the program, which leaves the migration as it is. Keep ${describeOwner(owner)}: its removal would end the migration`;

/** `urn:pulumi:prod::shop` */
const stackOf = (urn: string): string => urn.split("::", 2).join("::");
