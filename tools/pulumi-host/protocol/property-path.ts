import { isMap, isSecret, secret, type PropertyMap, type PropertyValue } from "./property-value";

type Element = string | number;

/** Splits a path such as `a.b[0]["c.d"]` into its elements. `*` matches all. */
export function parsePropertyPath(path: string): Element[] {
  const elements: Element[] = [];
  for (const match of path.matchAll(/\["((?:[^"\\]|\\.)*)"\]|\[(\d+|\*)\]|([^.[\]]+)/g)) {
    const [, quoted, index, name] = match;
    if (quoted !== undefined) elements.push(quoted.replace(/\\(.)/g, "$1"));
    else if (index !== undefined) elements.push(index === "*" ? "*" : Number(index));
    else if (name !== undefined) elements.push(name);
  }
  return elements;
}

/** Implements `ignoreChanges`: the new inputs with the old values below the ignored paths. */
export function ignoreChanges(news: PropertyMap, olds: PropertyMap, paths: readonly string[]): PropertyMap {
  const keep = (inputs: PropertyMap, path: string) => restored(inputs, olds, parsePropertyPath(path)) as PropertyMap;
  return paths.reduce(keep, news);
}

function restored(
  news: PropertyValue | undefined,
  olds: PropertyValue | undefined,
  path: readonly Element[],
): PropertyValue | undefined {
  const [element, ...rest] = path;
  if (element === undefined) return olds;
  if (isSecret(news)) return secret(restored(news.value, plain(olds), path) ?? null);
  if (isMap(news)) return restoredMap(news, plain(olds), element, rest);
  if (Array.isArray(news)) return restoredList(news as readonly PropertyValue[], plain(olds), element, rest);
  return news;
}

const plain = (value: PropertyValue | undefined) => (isSecret(value) ? value.value : value);

function restoredMap(news: PropertyMap, olds: PropertyValue | undefined, element: Element, rest: readonly Element[]) {
  if (!isMap(olds)) return news;
  const result: Record<string, PropertyValue> = { ...news };
  const keys = element === "*" ? new Set([...Object.keys(news), ...Object.keys(olds)]) : [String(element)];
  for (const key of keys) {
    const value = restored(news[key], olds[key], rest);
    if (value === undefined) Reflect.deleteProperty(result, key);
    else result[key] = value;
  }
  return result;
}

function restoredList(
  news: readonly PropertyValue[],
  olds: PropertyValue | undefined,
  element: Element,
  rest: readonly Element[],
) {
  if (!Array.isArray(olds)) return news;
  return news.map((value, index) => {
    if (element !== "*" && element !== index) return value;
    return restored(value, (olds as readonly PropertyValue[])[index], rest) ?? value;
  });
}
