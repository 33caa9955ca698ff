/** The inputs that an SDK did not send, ignoring its `properties` level. */
export function missing(inputs: unknown, body: unknown): string[] {
  const sent = new Set(leaves(body).map((leaf) => leaf.replaceAll("properties.", "")));
  return leaves(inputs).filter((leaf) => !sent.has(leaf));
}

function leaves(value: unknown, path = ""): string[] {
  if (typeof value !== "object" || value === null) return [`${path} = ${String(value)}`];
  return Object.entries(value).flatMap(([key, inner]) => leaves(inner, path === "" ? key : `${path}.${key}`));
}
