import { createHash } from "node:crypto";

/** A digest of a definition, short because the records contain thousands. */
export const shortDigest = (definition: string): string =>
  createHash("md5").update(definition).digest("hex").slice(0, 8);

/**
 * The digest of an object in the records. Each part may be empty.
 *
 * @param printed a digest of the definition, which contains names
 * @param references a digest of the objects and columns that have these names. It is undefined for kinds without any.
 * @param oid of an object of a kind that can only be dropped and created again
 */
export const objectDigest = (printed: string, references: string | undefined, oid = ""): string =>
  [printed, oid, references ?? ""].join(" ").trimEnd();

/**
 * Whether two digests of one server are of the same definition, or of the same object of a kind that can only be created again.
 * The same text may refer to other objects: the source may have given their names to new ones.
 */
export function isSameDigest(before: string, now: string): boolean {
  const [printed, oid = "", references = ""] = before.split(" ");
  const [printedNow, oidNow = "", referencesNow] = now.split(" ");
  // Records of earlier versions have no references.
  const refersAlike = references === "" || references === referencesNow;
  return (printed === printedNow && refersAlike) || (oid !== "" && oid === oidNow);
}

/** As {@link isSameDigest}, for definitions that contain nothing but an expression: new names in it change nothing. */
export function isSameExpression(before: string, now: string): boolean {
  const [printed, , references] = before.split(" ");
  const [printedNow, , referencesNow] = now.split(" ");
  return references === undefined ? printed === printedNow : references === referencesNow;
}

/** Whether two servers print the same definition. */
export const isPrintedAlike = (one: string | undefined, other: string): boolean =>
  one?.split(" ")[0] === other.split(" ")[0];
