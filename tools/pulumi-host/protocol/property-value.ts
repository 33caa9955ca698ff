import { isDeepStrictEqual } from "node:util";

/** A property as program, engine and provider exchange it: JSON, with signatures for other types. */
export type PropertyValue = null | boolean | number | string | readonly PropertyValue[] | PropertyMap;

export interface PropertyMap {
  readonly [key: string]: PropertyValue;
}

/** The property that contains an object's signature, the same in every Pulumi SDK and state file. */
export const signatureKey = "4dabf18193072939515e22adb298388d";
export const secretSignature = "1b47061264138c4ac30d75fd1eb44270";
const resourceSignature = "5cf8f73096256a8f31e491e813e4eb8e";

/** Represents an unknown value in a preview. */
export const unknownValue = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";

export const hiddenSecret = "[secret]";
const hiddenUnknown = "output<string>";

export function isMap(value: PropertyValue | undefined): value is PropertyMap {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function isSecret(value: PropertyValue | undefined): value is PropertyMap & { value: PropertyValue } {
  return isMap(value) && value[signatureKey] === secretSignature;
}

export function secret(value: PropertyValue): PropertyValue {
  return isSecret(value) ? value : { [signatureKey]: secretSignature, value };
}

/** Copies a value. `replace` returns the replacement of a part, or undefined to copy its elements. */
function rebuild(value: PropertyValue, replace: (value: PropertyValue) => PropertyValue | undefined): PropertyValue {
  const replaced = replace(value);
  if (replaced !== undefined) return replaced;
  if (isMap(value)) return mapValues(value, (element) => rebuild(element, replace));
  if (Array.isArray(value)) return (value as readonly PropertyValue[]).map((element) => rebuild(element, replace));
  return value;
}

export function mapValues(map: PropertyMap, change: (value: PropertyValue, key: string) => PropertyValue): PropertyMap {
  return Object.fromEntries(Object.entries(map).map(([key, value]) => [key, change(value, key)]));
}

function some(value: PropertyValue, matches: (value: PropertyValue) => boolean): boolean {
  if (matches(value)) return true;
  if (typeof value !== "object" || value === null) return false;
  return Object.values(value as PropertyMap).some((element) => some(element, matches));
}

export function containsSecret(value: PropertyValue): boolean {
  return some(value, isSecret);
}

export function containsUnknown(value: PropertyValue): boolean {
  return some(value, (element) => element === unknownValue);
}

/** The value in clear text, for a provider without support of secrets. */
export function reveal(value: PropertyValue): PropertyValue {
  return rebuild(value, (element) => (isSecret(element) ? reveal(element.value) : undefined));
}

/** The value with ids instead of resource references, for a provider without support of references. */
export function withoutReferences(value: PropertyValue): PropertyValue {
  return rebuild(value, (element) => {
    if (!isMap(element) || element[signatureKey] !== resourceSignature) return undefined;
    if (element.id === undefined || element.id === null) return element.urn;
    return element.id === "" ? unknownValue : element.id;
  });
}

/** The value with hidden secrets, for display. */
export function conceal(value: PropertyValue): PropertyValue {
  return rebuild(value, (element) => {
    if (isSecret(element)) return hiddenSecret;
    return element === unknownValue ? hiddenUnknown : undefined;
  });
}

/** Replaces every secret, for example with its encrypted form in a state file. */
export function replaceSecrets(value: PropertyValue, replace: (secret: PropertyValue) => PropertyValue): PropertyValue {
  return rebuild(value, (element) => (isSecret(element) ? replace(element.value) : undefined));
}

/** All texts in secrets. */
export function* secretTexts(value: PropertyValue, inSecret = false): Generator<string> {
  if (typeof value === "string") {
    if (inSecret) yield value;
    return;
  }
  if (typeof value !== "object" || value === null) return;
  const within = inSecret || isSecret(value);
  for (const [key, element] of Object.entries(value as PropertyMap)) {
    if (key !== signatureKey) yield* secretTexts(element, within);
  }
}

/**
 * Marks parts of an answer as secret if the inputs at the same path were secret. A list with a secret element is secret as
 * a whole, because a provider may reorder it.
 */
export function annotateSecrets(answer: PropertyMap, inputs: PropertyMap): PropertyMap {
  return mapValues(answer, (value, key) => {
    const input = inputs[key];
    if (input === undefined || isSecret(value)) return value;
    if (isMap(value) && isMap(input) && !isSecret(input)) return annotateSecrets(value, input);
    return containsSecret(input) ? secret(value) : value;
  });
}

export function sameValue(left: PropertyValue, right: PropertyValue): boolean {
  return isDeepStrictEqual(left, right);
}

/** The names of different properties. */
export function changedKeys(olds: PropertyMap, news: PropertyMap): string[] {
  const keys = new Set([...Object.keys(olds), ...Object.keys(news)]);
  return [...keys].filter((key) => !isDeepStrictEqual(olds[key], news[key]));
}
